"""The invented world of the evaluation set: Larkspur Field Station, its people, things and animals.

Nothing here exists, so no model can know it. Near misses are meant: siblings of one product line,
neighbouring rooms, animals of one ward.
"""

from __future__ import annotations

from typing import NamedTuple

# fmt: off
# One row a line: these are tables.


class Person(NamedTuple):
    name: str
    role: str
    room: str
    extension: str
    since: str
    note: str


PEOPLE = [
    Person("Oda Brannick", "station director", "204", "11", "2011", "She speaks Frisian and Dutch, and signs every contract above 5,000 crowns."),
    Person("Tomasz Wrede", "head veterinarian", "112", "23", "2014", "He keeps the only key to the drug cabinet and operates on Mondays and Thursdays."),
    Person("Ilse Farnham", "night nurse", "114", "24", "2019", "Her shift runs from 20:00 to 06:00; she writes the night log."),
    Person("Bo Kettering", "feed manager", "021", "31", "2016", "He orders hay every second Tuesday and mice from Palgrave Supplies."),
    Person("Priya Lindqvist", "data steward", "207", "42", "2020", "She runs the intake database and makes its backup on Fridays."),
    Person("Marek Osei", "workshop mechanic", "003", "35", "2013", "He repairs incubators and pumps, and lends out tools against a signature."),
    Person("Juno Halloran", "volunteer coordinator", "101", "12", "2021", "She trains new volunteers on the first Saturday of each month."),
    Person("Sven Abara", "drone pilot", "210", "44", "2022", "He flies the heron counts in April and holds licence class K2."),
    Person("Lotte Pemberley", "accountant", "205", "15", "2012", "She refunds travel costs within ten days of receiving the form."),
    Person("Ruben Castellane", "reptile keeper", "118", "27", "2018", "He feeds the crocodile on Wednesdays, never alone."),
    Person("Hanne Osterby", "bird keeper", "120", "28", "2017", "She rings fledglings and is allergic to penicillin."),
    Person("Felix Duvrai", "driver", "002", "36", "2015", "He drives the rescue van, whose plate is LK 7719."),
    Person("Mina Trelawney", "educator", "103", "13", "2020", "She gives the lecture evenings and leads school groups of up to 24 children."),
    Person("Caspar Vey", "laboratory technician", "116", "25", "2019", "He reads blood smears and keeps the freezer at minus 80 degrees."),
    Person("Nadia Brook", "gardener", "001", "38", "2010", "She grows the eucalyptus and the bamboo in the glasshouse."),
    Person("Owen Tarrant", "night guard", "100", "10", "2016", "He locks the north gate at 21:30 and walks a round every two hours."),
]


class Product(NamedTuple):
    name: str
    kind: str
    facts: str
    fault: str
    care: str
    warranty: str


PRODUCTS = [
    Product("Brevik H4", "incubator", "It weighs 38.5 kg, holds eight chicks and reaches 39.5 degrees. It draws 410 watts.", "Two long beeps mean that the door stands open; a red triangle means that the fan has stopped.", "Wipe the chamber with vinegar water after every brood, never with bleach.", "five years"),
    Product("Brevik H2", "incubator", "It weighs 21 kg, holds three chicks and reaches 38.0 degrees. It draws 260 watts.", "One short beep means that the water tray is empty; a yellow triangle asks for a new filter.", "Change the filter every ninety days.", "three years"),
    Product("Quillon 300", "microchip scanner", "It reads chips at up to 12 cm, weighs 420 g and runs fourteen hours on one charge.", "The code E7 means that two chips were seen at once.", "Charge it in the grey dock only.", "two years"),
    Product("Quillon 500", "microchip scanner", "It reads chips at up to 25 cm, weighs 610 g and runs nine hours on one charge.", "The code E3 means that the antenna is too cold.", "Keep it above five degrees and out of the rain.", "four years"),
    Product("Sandpiper S2", "survey drone", "It stays in the air for 34 minutes, weighs 1.9 kg and lands by itself in winds over 11 m/s.", "Three blue flashes mean that the compass wants calibrating.", "Store its cells at half charge in the fireproof bag.", "eighteen months"),
    Product("Tarn P7", "pond pump", "It moves 40 litres a minute at 12 volts and lifts water by 3.5 metres.", "A rattling sound means that gravel sits in the impeller.", "Rinse the foam every fortnight.", "two years"),
    Product("Tarn P9", "pond pump", "It moves 95 litres a minute at 24 volts and lifts water by 6 metres.", "When it hums and does not turn, the capacitor has failed.", "Drain it before the first frost.", "six years"),
    Product("Ostrava OS-60", "platform scale", "It weighs animals of up to 60 kg to the nearest 20 grams.", "The message ORIG means that it must be set level again.", "Have it checked by the inspector every May.", "ten years"),
    Product("Ostrava OS-5", "table scale", "It weighs up to 5 kg to the nearest gram and runs on a nine-volt block.", "The message LOBA means that the battery is low.", "Never lift it by its pan.", "one year"),
    Product("Glimmer L3", "basking lamp", "It gives 7 percent UVB over 50 cm and burns for 4,000 hours.", "A flicker at the start is normal for the first minute.", "Replace the tube every ten months even if it still shines.", "six months"),
    Product("Mossbank W11", "washing machine", "It takes 11 kg of blankets and boils at 95 degrees in programme 6.", "The letter D on the display means that the drain is blocked.", "Empty the lint drawer after each load.", "seven years"),
    Product("Lorne R6", "hand radio", "It reaches 8 kilometres over open ground; the station uses channel 14.", "A double click means that the channel is taken.", "Dry the contacts after every rainy round.", "thirty months"),
]


class Animal(NamedTuple):
    name: str
    species: str
    picture: str  # of the demo collection
    ward: str
    came: str
    weight: str
    story: str


ANIMALS = [
    Animal("Moss", "hedgehog", "animal-hedgehog", "ward B", "4 May", "640 grams", "was found under the timber pile of the Hollin sawmill and eats beetles and scrambled egg"),
    Animal("Pascal", "chameleon", "animal-chameleon", "the heat room", "19 January", "92 grams", "came from a flat in Dunmore where nobody had sprayed water for weeks; he drinks only from leaves"),
    Animal("Bruna", "crocodile", "animal-crocodile", "pool 3", "30 June", "71 kilograms", "was taken from a hotel cellar in Varn and is fed a chicken every Wednesday"),
    Animal("Stilt", "giraffe", "animal-giraffe", "the tall barn", "2 September", "830 kilograms", "was left behind by the bankrupt circus Orsino and fears umbrellas"),
    Animal("Vesper", "jaguar", "animal-jaguar", "enclosure 9", "11 November", "58 kilograms", "has a healed fracture of the left foreleg and answers to a whistle"),
    Animal("Tilly", "koala", "animal-koala", "the glasshouse", "27 March", "7.4 kilograms", "sleeps twenty hours and takes leaves only from Nadia Brook"),
    Animal("Ragnar", "Komodo dragon", "animal-komodo-dragon", "terrarium 1", "8 August", "49 kilograms", "bit through a rubber boot and has been trained to touch a blue disc"),
    Animal("Ping", "panda", "animal-panda", "the bamboo court", "15 February", "104 kilograms", "is on loan until 2029 and has broken three swings"),
    Animal("Nuka", "polar bear", "animal-polar-bear", "the cold hall", "6 December", "312 kilograms", "swims with a yellow barrel and is deaf in one ear"),
    Animal("Rosario", "scarlet macaw", "animal-scarlet-macaw", "aviary 4", "22 July", "1.05 kilograms", "says good evening in Portuguese and plucks his feathers when bored"),
    Animal("Thunder", "bison", "animal-bison", "the east paddock", "13 October", "902 kilograms", "broke the fence twice and must not be fed apples"),
    Animal("Biscuit", "cat", "farm-cat", "the kitchen yard", "1 April", "4.3 kilograms", "is the station's mouser and has the microchip 900-118"),
    Animal("Henrietta", "chicken", "farm-chicken", "coop 2", "9 May", "2.2 kilograms", "hatched ducklings last spring and lays blue eggs"),
    Animal("Clover", "cow", "farm-cow", "the south meadow", "18 August", "560 kilograms", "gives eleven litres a day, which go to the orphaned calves"),
    Animal("Rufus", "dog", "farm-dog", "the guard house", "25 July", "27 kilograms", "walks the night round with Owen Tarrant and is afraid of thunder"),
]


class Guest(NamedTuple):
    country: str
    picture: str
    house: str
    head: str
    gift: str


GUESTS = [
    Guest("Japan", "flag-japan", "Birch House", "Dr. Aoi Sakamura", "a bronze crane"),
    Guest("Brazil", "flag-brazil", "Alder House", "Professor Luzia Tavares", "a case of guava jam"),
    Guest("Egypt", "flag-egypt", "Willow House", "Mr. Hany Zaklama", "a papyrus map"),
    Guest("France", "flag-france", "Rowan House", "Madame Odile Verchère", "six copper pans"),
    Guest("India", "flag-india", "Hazel House", "Dr. Meera Chandavarkar", "a carved sandalwood box"),
    Guest("Italy", "flag-italy", "Maple House", "Signor Ettore Balducci", "a wheel of cheese"),
]


class Trip(NamedTuple):
    place: str
    picture: str
    who: str
    when: str
    event: str


TRIPS = [
    Trip("the Colosseum", "landmark-colosseum", "Lotte Pemberley", "March 2023", "lost her hat to a gust and paid 18 crowns for a new one"),
    Trip("the Eiffel Tower", "landmark-eiffel-tower", "Felix Duvrai", "May 2022", "climbed the 674 steps with a sprained wrist"),
    Trip("the Great Pyramid of Giza", "landmark-great-pyramid-of-giza", "Caspar Vey", "November 2021", "rode a camel called Nefer"),
    Trip("the Hawa Mahal", "landmark-hawa-mahal", "Priya Lindqvist", "January 2024", "met her cousin Anjali after nine years"),
    Trip("Machu Picchu", "landmark-machu-picchu", "Juno Halloran", "August 2023", "walked four days and ate guinea pig once"),
    Trip("Mount Rushmore", "landmark-mount-rushmore", "Owen Tarrant", "June 2019", "slept in a motel called the Prairie Lantern"),
    Trip("Petra", "landmark-petra", "Mina Trelawney", "October 2022", "bought a lamp of blue glass for the lecture room"),
    Trip("the Statue of Liberty", "landmark-statue-of-liberty", "Marek Osei", "July 2018", "missed the last ferry and was brought back by a tug"),
]


class Tool(NamedTuple):
    name: str
    picture: str
    drawer: str
    borrower: str


TOOLS = [
    Tool("hammer", "tool-hammer", "drawer 4", "Nadia Brook"),
    Tool("measuring tape", "tool-measuring-tape", "drawer 1", "Felix Duvrai"),
    Tool("multimeter", "tool-multimeter", "drawer 9", "Sven Abara"),
    Tool("pliers", "tool-plier", "drawer 3", "nobody"),
    Tool("scissors", "tool-scissors", "drawer 2", "Juno Halloran"),
    Tool("screwdriver", "tool-screwdriver", "drawer 5", "Caspar Vey"),
    Tool("wrench", "tool-wrench", "drawer 7", "Bo Kettering"),
]


class Lecture(NamedTuple):
    subject: str
    picture: str
    day: str
    visitors: str
    fee: str


LECTURES = [
    Lecture("Jupiter", "planet-planet-jupiter", "12 September", "61", "4 crowns"),
    Lecture("Saturn", "planet-planet-saturn", "26 September", "88", "5 crowns"),
    Lecture("Mars", "planet-planet-mars", "10 October", "47", "3 crowns"),
    Lecture("Venus", "planet-planet-venus", "24 October", "39", "6 crowns"),
    Lecture("the Earth seen from outside", "planet-planet-earth", "7 November", "104", "nothing"),
]


class Receipt(NamedTuple):
    file: str
    shop: str
    day: str
    lines: tuple[tuple[str, str], ...]
    total: str


RECEIPTS = [
    Receipt("fennimore-feed", "Fennimore Feed & Seed", "2025-03-14", (("Hay, 40 bales", "312.00"), ("Millet 25 kg", "41.50")), "353.50"),
    Receipt("palgrave-supplies", "Palgrave Supplies", "2025-04-02", (("Frozen mice, 500", "275.00"), ("Dry ice", "18.00")), "293.00"),
    Receipt("corrigan-glass", "Corrigan Glass", "2025-05-20", (("Pane 120 x 80", "96.40"), ("Putty", "7.20")), "103.60"),
    Receipt("dunmore-pharmacy", "Dunmore Pharmacy", "2025-06-11", (("Saline, 24 l", "57.60"), ("Gauze", "22.10")), "79.70"),
    Receipt("hotel-vantage", "Hotel Vantage", "2025-07-03", (("Room 2 nights", "188.00"), ("Breakfast", "24.00")), "212.00"),
    Receipt("larch-garage", "Larch Garage", "2025-09-18", (("Brake pads", "140.00"), ("Labour", "95.00")), "235.00"),
]

CHARTS = [
    ("intakes-by-month", "Animals taken in, by month, 2025", ("Jan", "Feb", "Mar", "Apr", "May", "Jun"), (14, 9, 22, 37, 61, 48)),
    ("visitors-by-weekday", "Visitors by day of the week", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), (12, 18, 25, 21, 40, 96, 88)),
    ("feed-costs", "Feed costs by animal group, crowns", ("birds", "reptiles", "mammals"), (2100, 3400, 8700)),
    ("heron-count", "Herons counted from the air", ("2021", "2022", "2023", "2024", "2025"), (31, 28, 35, 44, 52)),
    ("water-use", "Water used, cubic metres", ("pool 1", "pool 2", "pool 3", "laundry"), (120, 95, 210, 64)),
]

# Pictures of the demo collection under the names a camera gives, with no word about them anywhere.
CAMERA = {
    "IMG_2001": "photo-coffee",
    "IMG_2002": "photo-rocket",
    "IMG_2003": "photo-astronaut",
    "IMG_2004": "photo-coins",
    "IMG_2005": "photo-hubble-deep-field",
    "IMG_2006": "photo-chelsea",
}
