"""[pure] What clients wrote down themselves → turns → events, marked `source: transcript`."""
