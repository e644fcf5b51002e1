"""The recorder: the one place that knows all stages. Follows the spool and feeds the sinks.

pipeline     [pure] assembled exchanges → events, with all the state of open sessions
journal      [io] how far it got, and that state: what a restart continues from
recorder     [io] one step: read, derive, write to the sinks, remember
worker       [io] the process: loop, signals, orderly end
gaps         [io] what passed while nothing could be recorded
endings      [io] sessions that somebody wants ended
dead_letter  [io] what could not be recorded as it should
retry        [io] … recorded as it should be, later: `rereading` [pure] has what becomes of it
"""
