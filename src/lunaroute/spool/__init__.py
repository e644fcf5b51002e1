"""The durability boundary between relay and recorder: append-only segments of framed records.

    <home>/spool/<lane>/lock               held by the lane's one writer
    <home>/spool/<lane>/<number>.seg       segments, read in the order of their numbers
    <home>/spool/<lane>/free/*.seg         consumed segments, waiting to be written over again
    <home>/spool/<lane>/last               the highest segment number ever used
    <home>/spool/<lane>/gap                what passed while nothing could be written

`frame` is the byte format (pure), `writer` appends, `follow` reads, `segments` knows names and files.
Knows neither HTTP nor LLMs.
"""
