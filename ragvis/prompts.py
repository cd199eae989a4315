"""Every wording that a model is shown. Pocket was trained on exactly these."""

from __future__ import annotations

GROUNDED_SYSTEM = (
    "Answer the question using only the numbered sources. Cite each source you use as [n]. "
    "If the sources do not contain the answer, reply exactly: Not found in the sources."
)
NOT_FOUND = "Not found in the sources."
SHOWS = "[{}] shows"  # how an answer begins where a picture was asked for and found
NOT_SEEN = "I cannot see that in the picture."  # the same, where there is a picture and no index
# Before the first message of a chat about a picture; after VizWiz's "When the provided information
# is insufficient, respond with 'Unanswerable'", which LLaVA-1.5 was trained with.
SAY_WHAT_IS_SEEN = (
    f"When I ask about something that the image does not show, reply exactly: {NOT_SEEN}"
)
REWRITE = (
    "A question follows on from this one: {} Write it again so that it can be understood by "
    "itself, and reply with that question alone. The question: {}"
)
# Of one picture alone, before a question is answered from notes of several.
DESCRIBE = "Describe the image briefly."
DESCRIBE_FOR = "Describe the image in one to three sentences, with what bears on this question: {}"
# What pocket's language model was trained with where there are no sources.
POCKET_CHAT_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
IS_IT_SAID = "Asked: {} Answered: {} Is that what the sources say? Answer yes or no."
DOES_IT_SAY = 'Does the source say that "{}" Answer yes or no.'

# Asked of every new index: what such questions reach on it by chance is the floor that a
# score is calibrated against. They are about as unlike one another as questions get.
_UNRELATED = (
    "How do I change the oil of a lawn mower?",
    "Who won the chess championship in 1972?",
    "a photo of a wedding cake with blue icing",
    "What is the boiling point of ethanol?",
    "Which train leaves for Glasgow before noon?",
    "symptoms of vitamin D deficiency in adults",
    "a diagram of a suspension bridge",
    "How many strings does a balalaika have?",
    "the verdict of the appeal court on patent licences",
    "What did the quarterly report say about dividends?",
    "a portrait of a woman with a pearl earring",
    "How deep should tulip bulbs be planted?",
    "Which password policy applies to contractors?",
    "the plot of a detective novel set in Venice",
    "What is the maximum load of the freight lift?",
    "a screenshot of a spreadsheet with red cells",
    "When was the parliament dissolved for the second time?",
    "instructions for knitting a cable pattern",
    "Who composed the opera about a swan knight?",
    "What is the refund period for concert tickets?",
    "a plate of noodles with chopsticks",
    "the melting temperature of solder without lead",
    "How is the mean of a Poisson distribution estimated?",
    "a child riding a bicycle in the rain",
    "Which vaccine is given at the age of six months?",
    "the address of the tax office in the harbour district",
    "How long does concrete take to cure in winter?",
    "a neon sign above a night club",
    "What does the third amendment of the lease say?",
    "the batting average of the home team's captain",
    "How do bees tell each other where flowers are?",
    "a circuit board with a burnt capacitor",
)
_SUBJECTS = (
    "the glacier, a marathon, the stock exchange, a violin, the espresso machine, gravity, a "
    "passport, the beehive, chess openings, a wedding dress, the tax return, volcanic ash, a "
    "lighthouse, the water meter, sign language, a fishing net, the printer, vaccination, a "
    "parking permit, the tropical storm, an accordion, the court hearing, mushrooms, a satellite, "
    "the kidney, a snowboard, the loan contract, a waterfall, the mayor, olive oil, a tattoo, the "
    "escalator, probability theory, a ballet, the harvest, an earthquake, the server password, a "
    "wine cellar, the tennis final, a helicopter, mortgage rates, the cathedral, a sewing "
    "pattern, asthma, the bus timetable, a roller coaster, the spice market, a submarine, the "
    "election, a quilt, soil acidity, the ferry, a saxophone, dental insurance, the moon landing, "
    "a camping stove, the archive, a rainbow, the warehouse, a vintage car, the orchestra, a "
    "cactus, the invoice, a cave painting"
).split(", ")
_FORMS = (
    "What is known about {}?",
    "a photo of {}",
    "How much does {} cost?",
    "Who is responsible for {}?",
    "When was {} first mentioned?",
    "a drawing that shows {}",
    "Where can I find {}?",
    "Why did {} cause trouble last year?",
)
UNRELATED_QUERIES = (
    *_UNRELATED,
    *(_FORMS[i % len(_FORMS)].format(subject) for i, subject in enumerate(_SUBJECTS)),
)


def labelled(kind: str, name: str, page: int | None = None) -> str:
    """A source's label line after its number: ``text: report.pdf, page 4``."""
    return f"{kind}: {name}" + (f", page {page}" if page is not None else "")


def is_refusal(text: str) -> bool:
    """Whether an answer says that it found none."""
    return text.strip(" .\n").lower() in {
        said.strip(" .").lower() for said in (NOT_FOUND, NOT_SEEN)
    }


def is_cut_refusal(text: str) -> bool:
    """Whether an answer that was cut off was about to say that it found none: "Not found in"."""
    return text.strip().lower().startswith("not") and may_refuse(text)


def may_refuse(text: str) -> bool:
    """Whether an answer that begins so may say that the sources hold none."""
    return NOT_FOUND.lower().startswith(text.strip().lower())
