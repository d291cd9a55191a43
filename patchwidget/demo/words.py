"""The words of the bundled model's small world.

Every word here is one token with its leading space (see ``tokenizer.py``), so a
prompt written with these words alone has one token a word.
"""

# ruff: noqa: SIM905 - a hundred words read best as plain text

from __future__ import annotations

NAMES = tuple(
    """
    Mary John Tom James Dan Sid Martin Amy Alice Bob Carol David Emma Frank Grace
    Henry Irene Jack Kate Leo Mark Nina Oscar Paul Rose Sam Tina Victor Wendy Adam
    Anna Ben Clara Daisy Eric Fiona George Hannah Ivan Julia Kevin Laura Max Nora
    Owen Peter Rachel Sarah Tim Ursula Vera Walter Anton Bella Carl Diana Elena
    Felix Gina Hugo Iris Jane Karl Linda Marcus Nick Olivia Patrick Robert Simon
    Thomas Uma Vincent William Andrew Beth Charles Dora Edward Flora Greg Helen
    Isaac Joan Keith Lucy Michael Naomi Oliver Philip Ruth Steve Tara Ella Ralph
    Judy Ned Zoe
    """.split()
)
"""People: any two of them meet in the indirect-object sentences."""

PLACES = tuple(
    """
    shops park store school station garden office restaurant hospital library beach
    church theatre museum market harbour farm zoo castle river
    """.split()
)

OBJECTS = tuple(
    """
    ball ring book drink bag pen key gift card letter lamp map coin cake hat phone
    computer basket necklace snack
    """.split()
)

EVENTS = tuple(
    """
    war siege reign drought strike voyage trial famine feud project truce revolt
    campaign exile alliance plague
    """.split()
)
"""Things that last from one year to another."""

CENTURIES = tuple(range(11, 19))
"""First halves of the years in training; the century never changes in a sentence."""

LOOSE_WORDS = tuple(
    """
    apple arrow bean bell bird boat bottle bowl branch brick brush bucket butter
    button candle carpet chair cheese circle cloud clock coat copper corn cotton
    cradle cup curtain desk dinner dog door dream drum eagle ear egg engine feather
    fence finger fire fish flag flame floor flower fork frost fruit glove grain
    grass hammer hand heart hill honey hook horn horse ink jacket jar jewel kettle
    kitten knee knife ladder lake leaf lemon lion lock milk mirror moon mountain
    mouse mud nail needle nest net nut oak oil onion orange oven paint paper path
    peach pear pencil piano pillow pipe plate plum pocket pond potato rain ribbon
    rice road rock roof root rope sail salt sand saw seed shell shirt shoe silk sky
    smoke snow soap sock spade sponge spoon spring star stick sugar table tail tea
    thread thumb thunder ticket tiger tooth train tree umbrella valley violin voice
    wall watch water wave wheel wind window wing wood wool
    """.split()
)
"""Words that mean nothing to the other tasks; repeated at random for induction."""
