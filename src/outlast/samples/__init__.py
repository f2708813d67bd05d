"""Programs and data to try things on: a support desk's messages and the program that triages them."""
