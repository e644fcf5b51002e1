"""Whether recordings are what they were: `lunaroute verify`. Reads, and changes nothing.

totals   a session's exchanges in; what its `completed` must say
lines    the lines of one file, one at a time; what is wrong with them
index    the index against one made anew from the same lines
check    [io] all files and the index
"""
