"""A first session: two endpoints, a tone for both, and the events they cause.

Start the server with `make serve`, then run this.  Whoever listens on the two ports hears the tone:

    gst-launch-1.0 udpsrc port=40000 ! application/x-rtp,clock-rate=8000 ! rtppcmudepay ! mulawdec ! alsasink
"""

import asyncio
import sys

from roomtone.client import api, connect

URL = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:9100/"
OFFER = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio {port} RTP/AVP 0 101
a=rtpmap:101 telephone-event/8000
a=recvonly
"""


async def main() -> None:
    async with connect(URL) as client:
        print("session", (await client.session_create()).session_id)
        for port in (40000, 40002):  # where the two telephones listen
            made = await client.endpoint_create_from_offer(OFFER.format(port=port))
            print("endpoint", made.endpoint_id, "answers:\n" + made.sdp_answer)
        tone = await client.endpoint_create_tone("ringback", duration_ms=1000)
        print("ringing on", tone.endpoint_id)
        await client.stats_subscribe(interval_ms=500)
        async for event in client:
            print(event)
            if isinstance(event, api.ToneFinished):
                break
        await client.session_destroy()


asyncio.run(main())
