"""PCM -> PCM, and PCM -> facts.

Rule: knows samples and rates, nothing of packets, endpoints or time; state is a plain struct, the caller's.

Reading order: dispatch.pxd (the table of vector loops), kernel (the loops, compiled once an instruction
level), dispatch (the table in force), then what is built on it: limiter, resample, tone.

Mixing needs no file of its own: sum once in 32 bits (mix_add), take the listener's own voice out
(mix_minus), bring the rest to 16 bits (limiter).
"""
