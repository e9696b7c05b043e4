"""Write `datasets/handbook.txt`: the staff handbook of the invented company, paragraphs parted by blank lines.

`python -m tests.tools.make_handbook` writes the same bytes every time.
"""

# ruff: noqa: E501 - a paragraph a line

from tests.tools.make_support import DATASETS, PRODUCTS

COMPANY = "Lumenfold"

# what it is for, what makes it special, how to look after it, the usual fault and its cure
DETAILS = {
    "Aurel lamp": ("reading in bed", "a shade that turns without a sound", "wipe it with a dry cloth", "it flickers", "tighten the bulb"),
    "Pippin kettle": ("tea for two", "a spout that does not drip", "boil vinegar in it once a month", "it does not switch off", "empty it and let it cool"),
    "Sorrel toaster": ("four slices at once", "a tray that catches every crumb", "empty the tray on Fridays", "one side stays pale", "turn the dial past five"),
    "Tansy clock": ("the wall of a hall", "hands that glow in the dark", "dust it with a soft brush", "it runs slow", "change the battery"),
    "Bramble heater": ("a cold study", "a guard that stays cool", "brush the grille before winter", "it smells of dust", "run it for ten minutes with the window open"),
    "Marlow chair": ("long days at a table", "a back that follows the spine", "oil the wood in spring", "it creaks", "tighten the four screws under the seat"),
    "Odette speaker": ("music in the kitchen", "a voice mode for radio plays", "keep it out of the steam", "it loses the phone", "hold the round button for five seconds"),
    "Kelda blender": ("soups and smoothies", "a jug that locks with a click", "rinse it right after use", "it does not start", "turn the jug until it clicks"),
    "Linnet radio": ("the garden shed", "a dial made for cold fingers", "fold the aerial before you carry it", "it crackles", "pull out the whole aerial"),
    "Thistle fan": ("hot nights", "a timer that counts down in hours", "vacuum the blades in autumn", "it rattles", "press the front ring until it snaps in"),
    "Wicket desk": ("two screens and a plant", "a channel that hides the cables", "use coasters", "the drawer sticks", "rub the rail with a candle"),
    "Juniper mirror": ("a narrow hall", "a frame that hides the hook", "clean the glass with warm water", "it hangs askew", "move the lower pad a finger to the left"),
}  # fmt: skip

STORES = {
    "Harrow Lane": ("Maud Ferrin", "nine in the morning", "six in the evening", "lamps and mirrors", "Sunday"),
    "Old Quay": ("Idris Pell", "ten in the morning", "seven in the evening", "kitchen goods", "Monday"),
    "Mill Square": ("Bettina Roke", "eight in the morning", "five in the afternoon", "chairs and desks", "Sunday"),
    "Station Arcade": ("Tobias Wren", "seven in the morning", "nine in the evening", "small things for travel", "no day at all"),
    "Upper Green": ("Salma Oduya", "ten in the morning", "six in the evening", "radios and speakers", "Tuesday"),
    "Glassworks": ("Viktor Lund", "nine in the morning", "eight in the evening", "clocks and gifts", "Monday"),
}  # fmt: skip

TEAMS = {
    "Help desk": ("answers customers by phone, by letter and in the shop chat", "Noor Castell", "every question gets a first answer within one working day"),
    "Repairs": ("opens, mends and tests what comes back", "Piotr Hale", "a repair that takes longer than two weeks earns the customer a loan product"),
    "Buying": ("chooses makers and visits them once a year", "Elin Marsh", "no maker is signed before two people have seen the workshop"),
    "Warehouse": ("stores, packs and sends", "Gordon Achebe", "an order that arrives before noon leaves on the same day"),
    "Design": ("draws new products and keeps old ones good", "Yuki Thorne", "every drawing names the part that will wear out first"),
    "Accounts": ("pays makers, staff and taxes on time", "Rhona Blythe", "every bill is read by one person and paid by another"),
    "Web shop": ("keeps the pages right and the pictures honest", "Caspar Dunne", "a price changes on the page and in the till within the same minute"),
    "People": ("hires, trains and listens", "Amara Finch", "nobody waits longer than five days for an answer about leave"),
}  # fmt: skip

POLICIES = """
{c} makes and sells things for the home. It was founded as a repair shop, and every rule in this handbook goes back to what the repair table taught us.
We have six stores, one warehouse and a web shop. About two hundred people work here. Most of them can change a plug.
This handbook is for everyone who starts at {c}. Read it in your first week and keep it close. When a rule and common sense disagree, tell your team leader; one of the two has to be changed.
Our promise is short: it works, it can be mended, and we say what it costs. Whatever we write or say must keep these three parts.
Every product has five facts that each of us should be able to find: the warranty, the price, the material, the country where it is made, and the order code.
The order code is two letters and two digits. The letters are the first letters of the name. Customers may use the code in every store, on the phone and in the web shop.
A customer may return any unused product within thirty days. We do not ask why. The money goes back the way it came, within five working days.
A used product may be returned when it does not do what we said it would. The store leader decides, and decides on the same day.
Returns need the receipt or the order number. If both are lost, search by name and date. Nobody is sent home because of a missing slip of paper.
The warranty starts on the day of delivery, not on the day of the order. Write the date on the card and put the card in the box.
The warranty covers faults of material and making. It does not cover falls, floods, or repairs with glue. Explain this kindly and offer a paid repair.
A product that fails twice for the same reason within its warranty is replaced, not repaired a third time.
Standard delivery takes three to five working days. Heavy goods such as chairs and desks travel with our own van and arrive on a day the customer chooses.
Delivery is free above sixty dollars. Below that it costs five dollars, whatever the distance.
Express delivery arrives on the next working day when the order comes in before noon. It costs twelve dollars and is not offered for furniture.
When a parcel is lost, we send a new one first and argue with the carrier afterwards.
Islands and mountain villages may wait two days longer. Say so before the customer pays, not after.
We accept cards, bank transfer and cash in the stores. We do not accept cheques, and we never write down card numbers.
A price on the shelf is a promise. If the till shows a higher price, the customer pays the lower one, and the store reports the difference.
Staff may buy at a fifth off. The discount is for you and your household and not for resale.
Gift cards are valid for five years. They can be used in parts, and what is left stays on the card.
An order can be changed until it is packed. After that we help the customer to return what is not wanted.
Companies that order more than ten pieces receive an offer from Buying within two days. Do not promise a discount before that.
Greet people when they come in, then leave them alone until they look up. Nobody likes to be followed through a shop.
When a customer is angry, listen to the end, repeat what you heard, and say what you will do and by when. Then do it.
Say what you know and say what you do not know. A guess about a warranty costs more than a minute of looking it up.
Write short sentences to customers. Begin with the answer, then give the reason. Sign with your own first name.
We never blame the carrier, the maker or another team in a letter. The customer bought from {c}.
If a question is about safety, stop selling the product, tell your team leader and call Repairs. Do this before anything else.
Unplug every device before you open it. A device that was wet is not switched on again until Repairs has seen it.
Lift with your knees, and lift desks and chairs with two people. The cart stands behind the second door of each store.
Fire exits stay free, also on delivery days. Each store tries the alarm on the first Wednesday of the month.
Every store has a first-aid box at the till and a second one in the storeroom. Write down what you take, so that it can be filled again.
Report every accident, even a small one, on the same day. We look for the cause and not for somebody to blame.
Customer data is used for the order and for nothing else. Do not copy addresses to your own phone.
We delete the data of a customer who asks for it within ten days and confirm it in writing. Bills are kept as long as the law wants.
Passwords are long, belong to one person and are not shared. If you think that yours is known to others, change it first and report it second.
Lock your screen when you leave the desk. The web shop signs you out after fifteen minutes, and that is on purpose.
Do not open files from people you do not know. Forward strange mail to the Web shop team, who would rather look ten times too often.
You have twenty-six days of leave a year. Ask for more than three days in a row at least four weeks before.
If you are ill, call your team leader before your shift begins. A doctor's note is needed from the third day.
Shifts are planned three weeks ahead. You may swap with a colleague when both write it in the plan.
A working day has a lunch break of forty-five minutes, and nobody eats at the till.
Every new colleague spends two days in Repairs, whatever the job. It is the quickest way to understand the products.
In your first month you have a mentor from another team. Meet once a week and ask the things you do not want to ask your leader.
Training is paid time. Each of us has five days a year for it and chooses freely among the courses on the list.
Travel by train when it takes less than five hours. Keep the tickets and hand them in within a month.
Meals on business trips are paid up to thirty dollars a day. Drinks with customers are paid when a customer was there.
We choose materials that can be mended or melted: wood, metal, glass, and plastic only where nothing else will do.
Each product has a list of spare parts. We keep the parts for ten years after the last piece was sold.
Repair instructions are free and stand on the web shop. If someone mends a thing alone, good; if it goes wrong, we still help.
Packaging is made of paper. Return boxes are used again until they fall apart.
Broken goods are taken apart for spare parts. What is left goes to the recycling yard every second Thursday.
Each store reports its use of power in January. The store that saved most chooses where we have the summer party.
Makers sign our rules for safe work and fair pay. Buying visits each of them once a year, and not always with notice.
We do not accept gifts from makers that are worth more than a lunch. Smaller ones go into the staff raffle in December.
Speak to your team leader about problems at work. If the problem is your team leader, speak to People. Both conversations stay where they were held.
We speak to the press only through the office of the managing director. Be friendly, take the name and the number, and pass them on.
Pictures of products show the real colour in daylight. We do not picture a chair in a hall that is larger than our store.
Reviews of customers are never edited. We answer bad ones within two days and good ones when we have something to say.
Stock is counted on the last Sunday in June. The stores are closed on that day, and there is cake.
The meeting of the whole company is held each spring in the warehouse. Questions may be handed in without a name.
Changes to this handbook are announced by letter. The newest version hangs at the back door of each store.
If you read this far, tell your mentor the code of the product you like best. There is a prize, and it can be mended.
"""


def paragraphs() -> list[str]:
    """All paragraphs, in the order of the handbook."""
    policies = [line.replace("{c}", COMPANY) for line in POLICIES.strip().splitlines()]
    return [*policies[:6], *_products(), *policies[6:28], *_stores(), *_teams(), *policies[28:]]


def _products() -> list[str]:
    found = []
    for at, (name, (months, dollars, material, country, code)) in enumerate(PRODUCTS.items()):
        use, special, care, fault, cure = DETAILS[name]
        intro = (
            f"The {name} is made for {use}. It has {special}, and it is the reason why many people come back.",
            f"People buy the {name} for {use}. What they talk about afterwards is {special}.",
            f"Show the {name} to anyone who asks for {use}. Point out that it has {special}.",
        )[at % 3]
        facts = (
            f"The {name} costs {dollars} dollars and has a warranty of {months} months. Order it under the code {code}.",
            f"Facts about the {name}: the price is {dollars} dollars, the warranty is {months} months, the order code is {code}.",
            f"For {dollars} dollars a customer gets the {name} with {months} months of warranty. The code on the box is {code}.",
        )[at % 3]
        origin = (
            f"The {name} is made of {material} in {country}. The workshop sends a new batch every six weeks.",
            f"The {name} comes from {country}. The {material} is chosen by hand, so no two pieces look quite the same.",
            f"A family workshop in {country} makes the {name} out of {material}. Buying has known them for years.",
        )[(at + 1) % 3]
        upkeep = f"How to look after the {name}: {care}. If {fault}, {cure}; if that does not help, send it to Repairs."
        found += [intro, facts, origin, upkeep]
    return found


def _stores() -> list[str]:
    found = []
    for name, (leader, opens, closes, strong, rest) in STORES.items():
        found += [
            f"The {name} store opens at {opens} and closes at {closes}. Its day of rest is {rest}.",
            f"{leader} leads the {name} store. Its strength is {strong}; send people there when your own shelf is empty.",
        ]
    return found


def _teams() -> list[str]:
    found = []
    for name, (work, leader, rule) in TEAMS.items():
        found += [
            f"The team called {name} {work}. It is led by {leader}.",
            f"A rule of {name} that everybody should know: {rule}.",
        ]
    return found


if __name__ == "__main__":
    text = paragraphs()
    (DATASETS / "handbook.txt").write_text("\n\n".join(text) + "\n", encoding="utf-8")
    print(f"handbook.txt: {len(text)} paragraphs")
