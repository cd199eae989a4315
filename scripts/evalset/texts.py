"""The evaluation set's hand-written papers: policies, minutes, letters, guides."""

from __future__ import annotations

POLICIES = """# Larkspur Field Station: house rules

## Visitors
Visitors sign the green book at the north gate and wear a badge until they leave. Dogs of visitors
stay outside. Children under six may not enter the reptile wing. Photographs are allowed without
flash, except in the night house, where no camera may be carried at all.

## Quarantine
Every new animal spends twenty-one days in quarantine behind the yellow line. Boots are changed at
the line and hands are washed for forty seconds. Birds with a cough stay nine days longer. Only Tomasz
Wrede may shorten a quarantine, and he notes it in the red folder.

## Keys
Keys hang in the cabinet of room 100 and are lent for one shift. Whoever loses a key pays 35 crowns.
The key to the boat house has a cork float. A copy of every key lies in the bank in Dunmore.

## Fire
The alarm is a rising tone. Everyone gathers under the copper beech, and Juno Halloran counts heads.
Animals are moved only on the word of the head veterinarian. Extinguishers are checked in January.

## Leave and hours
Full-time staff have twenty-nine days of leave. Requests go to Oda Brannick three weeks ahead. Work on
a public holiday counts double. The canteen is open from 11:30 to 14:00 and closed on Mondays.

## Travel
Trips by rail are refunded in second class, trips by car at 0.42 crowns a kilometre. A hotel may cost
up to 110 crowns a night. Forms are handed in within six weeks.
"""

MINUTES = {
    "minutes-2025-02-11": """Minutes of the staff meeting, 11 February 2025

Present: Brannick, Wrede, Kettering, Lindqvist, Pemberley, Osei. Excused: Abara.

1. The roof of the tall barn leaks above the feeding platform. Marek Osei will cover it with tarpaulin
until the roofer comes on 3 March. The estimate is 4,150 crowns.

2. Bo Kettering proposes to buy millet from Fennimore instead of Palgrave, which saves nine percent.
Agreed.

3. Priya Lindqvist reports that the intake database lost two records in January because of a double
microchip number. She will forbid doubles.

4. The open day is set for 14 June. Mina Trelawney plans a quiz about owls.
""",
    "minutes-2025-05-06": """Minutes of the staff meeting, 6 May 2025

Present: Brannick, Wrede, Farnham, Castellane, Osterby, Halloran, Vey. Excused: Pemberley.

1. The station took in thirty-seven animals in April, of which four died. Caspar Vey found lungworm in
six hedgehogs and asks for a second microscope; Oda Brannick allows 900 crowns.

2. Ruben Castellane wants a second person at every crocodile feeding. Felix Duvrai will assist on
Wednesdays.

3. Hanne Osterby has seen a pair of black kites above the quarry. The quarry path is closed until 20
July.

4. Eleven new volunteers have been trained. Two have left because of the early shift, which now starts
at 6:45 and not at 6:00.
""",
    "minutes-2025-09-16": """Minutes of the staff meeting, 16 September 2025

Present: Brannick, Wrede, Kettering, Pemberley, Osei, Brook, Tarrant.

1. The giraffe Stilt arrived on 2 September. The tall barn's gate will be raised by sixty centimetres.

2. Lotte Pemberley presents the half-year: income 212,400 crowns, costs 198,750 crowns. The surplus
goes to the new drain of pool 3.

3. Nadia Brook lost a third of the bamboo to rust fungus. She will cut it back and spray with horsetail
broth, not with copper.

4. Owen Tarrant met trespassers at the boat house on two nights in August. A lamp with a sensor will be
put up; the police in Dunmore have the case under number D-5582.

5. The washing machine has been repaired for the third time. The next time it will be replaced.
""",
}

LETTERS = {
    "letter-from-the-ministry": """To: Larkspur Field Station, Oda Brannick
From: Ministry of Rural Affairs, Department 7, Gudrun Falk
Date: 3 April 2025

Dear Ms Brannick,

your application for the extension of the aviary has been granted. The grant amounts to 46,000 crowns
and is paid in two parts: 30,000 crowns on 1 June and the rest after the final inspection. The roof net
must have a mesh of no more than nineteen millimetres. Our inspector, Mr Halvard Quist, will visit you in
the second week of October. Please send photographs of the foundation beforehand.
""",
    "letter-to-the-insurer": """To: Corvane Mutual Insurance, claims office
From: Lotte Pemberley
Date: 19 August 2025

On the night of 12 August hail broke forty-one panes of our glasshouse. The damage comes to 6,820 crowns.
A plywood cover has been put up at our own cost of 310 crowns. The policy number is CM-44071-B and the
excess is 250 crowns. Photographs and the glazier's estimate are enclosed.
""",
}

GUIDES = {
    "hand-rearing-hedgehogs": """# Hand-rearing hedgehogs

Hoglets under 100 grams are fed every two hours with goat's milk substitute, warmed to 36 degrees. Cow's
milk gives them colic. From 180 grams on they get a dish of puppy food with a teaspoon of oat bran.

After each meal the belly is stroked with a damp swab until they pass urine. A hoglet that has not gained
weight for three days is shown to the veterinarian. They are released at 600 grams, in mild nights, with
the nest box left open for a week.
""",
    "pond-care": """# Care of the ponds

Pool 1 is for ducks and is drained twice a year. Pool 2 holds the terrapins; its water is kept at 24
degrees. Pool 3 is the crocodile's: its grille is inspected each morning before anyone goes in.

Blanket weed is raked out by hand. Barley straw is laid in March, in nets of two kilograms. Acidity
should lie between 7.0 and 7.8; below 6.8 a bucket of crushed oyster shell is hung into the inflow.
""",
    "ringing-birds": """# Ringing birds

Rings of size N fit blackbirds, rings of size K fit tits, and rings of size S fit kites. The ring goes on
the right leg. Each ring is read aloud twice before it is closed. Lost rings are struck from the list and
never used again.

A bird is kept in the bag for at most twenty minutes. In rain no bird is ringed.
""",
    "volunteer-welcome": """# Welcome, volunteer!

Bring rubber boots, a mug and a lunch. The early shift starts at 6:45 in the mud room, the late shift at
13:15. Your locker has your initials; the code at first is 4096. Tea is free, coffee costs half a crown.

You will be weighed down with questions: ask the person with the orange cap. Do not name the animals, do
not feed them from your hand, and tell someone when you have been bitten, however small the bite.
""",
    "glasshouse": """# The glasshouse through the year

The eucalyptus stands in the south bay and is cut every other week. The bamboo court is watered with rain
only, because tap water here is too hard. At night the vents close below eleven degrees. Ladybirds are set
out against aphids in the second week of May; a box of five hundred costs 27 crowns.
""",
}
