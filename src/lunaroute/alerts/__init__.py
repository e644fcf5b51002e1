"""[io] Alerts and budgets ([alerts] in config.toml, docs/alerts.md), in a process of their own.

`rule` reads what is to be watched, `readings` asks the index how it stands, `watch` decides what is new, `channels`
tell people, `ledger` keeps what happened, `worker` is the process. A rule that blocks tells the relay by a file
(`relay.blocks`); traffic never waits for anybody here.
"""
