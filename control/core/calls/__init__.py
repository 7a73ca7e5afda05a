"""Calls: sessions as applications command them over REST.

Reading order: leg.py (what a session has beside its bus), telling.py (what is told of it, from call.new to
call.hangup), commands.py (accepted now, its result later), operations.py (the routes); then what commands do.
"""
