"""Session descriptions in the manner of programs met in the field, written for these tests."""

ASTERISK = """v=0\r
o=- 1398210044 1398210044 IN IP4 198.51.100.20\r
s=Asterisk\r
c=IN IP4 198.51.100.20\r
t=0 0\r
m=audio 17428 RTP/AVP 8 0 9 101\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:9 G722/8000\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-16\r
a=ptime:20\r
a=maxptime:150\r
a=sendrecv\r
"""

LINPHONE = """v=0\r
o=alice 2953 3341 IN IP4 203.0.113.77\r
s=Talk\r
c=IN IP4 203.0.113.77\r
b=AS:380\r
t=0 0\r
a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r
m=audio 7078 RTP/AVP 96 97 98 0 8 101 99 100\r
a=rtpmap:96 opus/48000/2\r
a=fmtp:96 useinbandfec=1\r
a=rtpmap:97 speex/16000\r
a=fmtp:97 vbr=on\r
a=rtpmap:98 speex/8000\r
a=fmtp:98 vbr=on\r
a=rtpmap:101 telephone-event/48000\r
a=rtpmap:99 telephone-event/16000\r
a=rtpmap:100 telephone-event/8000\r
a=rtcp-fb:* trr-int 5000\r
a=rtcp-fb:* ccm tmmbr\r
m=video 9078 RTP/AVP 96\r
a=rtpmap:96 VP8/90000\r
"""

CHROMIUM = """v=0\r
o=- 7245310948562091 2 IN IP4 127.0.0.1\r
s=-\r
t=0 0\r
a=group:BUNDLE 0\r
a=extmap-allow-mixed\r
a=msid-semantic: WMS 1d3f\r
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r
c=IN IP4 0.0.0.0\r
a=rtcp:9 IN IP4 0.0.0.0\r
a=ice-ufrag:q1Zt\r
a=ice-pwd:Rk3vQbF0pYw2mS8uTn5jX1cA\r
a=ice-options:trickle\r
a=fingerprint:sha-1 0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9:0A:1B:2C:3D\r
a=setup:actpass\r
a=mid:0\r
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r
a=sendrecv\r
a=msid:1d3f 77aa\r
a=rtcp-mux\r
a=rtcp-rsize\r
a=rtpmap:111 opus/48000/2\r
a=rtcp-fb:111 transport-cc\r
a=fmtp:111 minptime=10;useinbandfec=1\r
a=rtpmap:63 red/48000/2\r
a=fmtp:63 111/111\r
a=rtpmap:9 G722/8000\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:13 CN/8000\r
a=rtpmap:110 telephone-event/48000\r
a=rtpmap:126 telephone-event/8000\r
a=ssrc:3735928559 cname:kJh2\r
"""

FFMPEG = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=No Name
c=IN IP4 127.0.0.1
t=0 0
a=tool:libavformat
m=audio 5004 RTP/AVP 97
b=AS:128
a=rtpmap:97 L16/8000/1
"""

GSTREAMER = """v=0\r
o=- 1188340656180883 1 IN IP6 2001:db8::10\r
s=Session streamed with GStreamer\r
i=rtsp-server\r
t=0 0\r
a=tool:GStreamer\r
a=type:broadcast\r
a=control:*\r
a=range:npt=now-\r
m=audio 0 RTP/AVP 96\r
c=IN IP6 2001:db8::10\r
a=rtpmap:96 L16/44100/2\r
m=audio 6000 RTP/AVP 97 0\r
c=IN IP6 2001:db8::11\r
a=rtpmap:97 L16/16000\r
a=sendonly\r
"""

BARESIP = """v=0\r
o=- 3880123456 1184012345 IN IP4 192.0.2.33\r
s=-\r
c=IN IP4 192.0.2.33\r
t=0 0\r
a=tool:baresip 3.9.0\r
m=audio 31512 RTP/AVP 0 8 101\r
b=AS:125\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=rtcp:31513\r
a=sendrecv\r
a=label:1\r
a=rtcp-rsize\r
a=ssrc:2890844526 cname:sip:bob@192.0.2.33\r
a=ptime:20\r
a=maxptime:20\r
"""

# A desk telephone on hold the old way: no session-level c= line, old line ends, upper-case attribute, spaces.
OLD_PHONE = """v=0
o=6001 8000 8001 IN IP4 192.0.2.99
s=SIP Call
t=0 0
m=audio 16384 RTP/AVP 18 0 101
c=IN IP4 0.0.0.0
a=rtpmap: 18 G729/8000
a=rtpmap:0 pcmu/8000/1
A=ignored by nobody
a=rtpmap:101 Telephone-Event/8000
a=fmtp:101 0-11,16
a=SendRecv
""".replace("A=ignored by nobody\n", "k=prompt\n")

ALL = {
    "asterisk": ASTERISK,
    "linphone": LINPHONE,
    "chromium": CHROMIUM,
    "ffmpeg": FFMPEG,
    "gstreamer": GSTREAMER,
    "baresip": BARESIP,
    "old_phone": OLD_PHONE,
}
