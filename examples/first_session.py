"""A first session: two endpoints, a tone for both, and the events they cause.

Start the server with `make serve`, then run this.  Whoever listens on the two ports hears the tone:

    gst-launch-1.0 udpsrc port=40000 ! application/x-rtp,clock-rate=8000 ! rtppcmudepay ! mulawdec ! alsasink
"""

import asyncio
import sys

from roomtone.client import connect

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
    async with await connect(URL) as client:
        session = await client.call("session.create")
        print("session", session["session_id"])
        for port in (40000, 40002):  # where the two telephones listen
            made = await client.call("endpoint.create_from_offer", sdp=OFFER.format(port=port))
            print("endpoint", made["endpoint_id"], "answers:\n" + made["sdp_answer"])
        tone = await client.call("endpoint.create_tone", tone="ringback", duration_ms=1000)
        print("ringing on", tone["endpoint_id"])
        await client.call("stats.subscribe", interval_ms=500)
        async for event in client.events():
            print(event.name, event.data)
            if event.name == "endpoint.tone.finished":
                break
        await client.call("session.destroy")


asyncio.run(main())
