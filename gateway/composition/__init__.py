"""The composition root, by subject: the only place that names concrete classes and puts them together.

`rooms.py` is the chat networks and what is owed to them, `governance.py` what every act must pass, `runs.py` who
answers, `front.py` what clients reach. `gateway/app.py` joins the four and gives them their life.
"""
