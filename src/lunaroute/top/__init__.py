"""`lunaroute top`: what is going on, on a screen of a terminal."""
