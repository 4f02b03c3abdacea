"""HTTP Digest against others: their clients at our server, and our client at their servers.

usage: digest_check.py DIGEST FOLDER, where DIGEST is the program `digest`. Needs curl, lighttpd and
Kamailio, and the packages requests, httpx and aiohttp.
"""

import asyncio
import hashlib
import pathlib
import socket
import subprocess
import sys
import time

import aiohttp
import httpx
import requests
from requests.auth import HTTPDigestAuth

PROGRAM, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
REALM, USER, PASSWORD = "presence.home1.net", "alice", "secret"
passed = 0


def check(what, is_right, printed=""):
    global passed
    if not is_right:
        sys.exit(f"FAILED: {what}: {printed}")
    passed += 1
    print(f"{what}: {printed}".strip())


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Started:
    """A server in the background; what it prints is in a file."""

    def __init__(self, name, command, answers):
        self.output = FOLDER / f"{name}.output"
        self.process = subprocess.Popen(command, stdout=self.output.open("wb"), stderr=subprocess.STDOUT)
        for _ in range(100):
            if answers():
                return
            time.sleep(0.05)
        sys.exit(f"FAILED: {name} does not answer: {self.output.read_text()[-2000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def text(self):
        return self.output.read_text()


def connects(port):
    def answers():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return answers


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, (done.stdout + done.stderr).strip()


def their_clients(options, algorithms, offered):
    """`algorithms`: what each client takes of what is offered."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/presence"
    command = [PROGRAM, "serve", f"127.0.0.1:{port}", *options]
    with Started("serve", command, connects(port)) as server:

        def took(name, status, is_wrong):
            algorithm = algorithms[name]
            expected = f"200 {USER} by {algorithm} "
            printed = [line for line in server.text().splitlines() if " /presence: " in line][-1]
            if is_wrong:
                check(f"{name}, {offered}, wrong password", status == 401 and "401 unknown user or wrong" in printed, printed)
            else:
                check(f"{name}, {offered}", status == 200 and expected in printed, printed)

        for password in (PASSWORD, "wrong"):
            is_wrong = password != PASSWORD
            if "curl" in algorithms:
                code = run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--digest", "-u", f"{USER}:{password}", url)[1]
                took("curl", int(code), is_wrong)
            if "requests" in algorithms:
                took("requests", requests.get(url, auth=HTTPDigestAuth(USER, password), timeout=5).status_code, is_wrong)
            if "httpx" in algorithms:
                took("httpx", httpx.get(url, auth=httpx.DigestAuth(USER, password)).status_code, is_wrong)
            if "aiohttp" in algorithms:

                async def post():
                    digest = aiohttp.DigestAuthMiddleware(login=USER, password=password)
                    async with aiohttp.ClientSession(middlewares=(digest,)) as session:
                        async with session.post(url, data=b"a body") as response:
                            return response.status

                took("aiohttp", asyncio.run(post()), is_wrong)
                if not is_wrong:
                    printed = server.text().splitlines()[-1]
                    check("aiohttp, with its body", printed.endswith(" auth-int"), printed)
        # Several requests of one session: a count for each.
        if "requests" in algorithms:
            with requests.Session() as session:
                session.auth = HTTPDigestAuth(USER, PASSWORD)
                statuses = [session.get(url, timeout=5).status_code for _ in range(5)]
            check(f"requests, {offered}, five in a session", statuses == [200] * 5, statuses)
            # What was sent once is not accepted again.
            prepared = requests.Request("GET", url, auth=None).prepare()
            with requests.Session() as session:
                good = session.get(url, auth=HTTPDigestAuth(USER, PASSWORD), timeout=5)
                prepared.headers["Authorization"] = good.request.headers["Authorization"]
                replayed = session.send(prepared, timeout=5)
            is_refused = replayed.status_code == 401 and "stale=true" in replayed.headers["WWW-Authenticate"]
            check(f"a replay of requests, {offered}", is_refused, replayed.headers["WWW-Authenticate"][:60])


def digest(algorithm, text):
    name = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}[algorithm]
    return hashlib.new(name, text.encode()).hexdigest()


def lighttpd():
    for algorithm in ("MD5", "SHA-256", "SHA-512-256"):
        for userhash in (False, True):
            port = free_port()
            root = FOLDER / "www"
            root.mkdir(exist_ok=True)
            (root / "index.html").write_text("welcome\n")
            ha1 = digest(algorithm, f"{USER}:{REALM}:{PASSWORD}")
            (FOLDER / "users").write_text(f"{USER}:{REALM}:{ha1}:{digest(algorithm, f'{USER}:{REALM}')}\n")
            rule = '"userhash" => "enable",' if userhash else ""
            (FOLDER / "lighttpd.conf").write_text(
                f"""
                server.modules = ("mod_auth", "mod_authn_file")
                server.document-root = "{root}"
                server.bind = "127.0.0.1"
                server.port = {port}
                auth.backend = "htdigest"
                auth.backend.htdigest.userfile = "{FOLDER}/users"
                auth.require = ("/" => ("method" => "digest", "realm" => "{REALM}", "algorithm" => "{algorithm}", {rule} "require" => "valid-user"))
                """
            )
            command = ["/usr/sbin/lighttpd", "-D", "-f", str(FOLDER / "lighttpd.conf")]
            with Started("lighttpd", command, connects(port)):
                get = [PROGRAM, "get", f"127.0.0.1:{port}", "/index.html", "--user", USER, "--password"]
                what = f"lighttpd, {algorithm}{', userhash' if userhash else ''}"
                code, printed = run(*get, PASSWORD)
                check(what, code == 0 and printed.startswith(f"401 200 {algorithm} "), printed)
                code, printed = run(*get, "wrong")
                check(f"{what}, wrong password", code == 1 and printed == "digest: credentials were refused", printed)


def kamailio():
    # Of auth-int, its answers are not those of RFC 7616 (which aiohttp agrees with): not compared.
    for algorithm in ("MD5", "SHA-256"):
        port = free_port(socket.SOCK_DGRAM)
        (FOLDER / "kamailio.cfg").write_text(
            f"""#!KAMAILIO
            debug=1
            log_stderror=yes
            fork=yes
            children=1
            disable_tcp=yes
            listen=udp:127.0.0.1:{port}
            loadmodule "sl.so"
            loadmodule "pv.so"
            loadmodule "kex.so"
            loadmodule "auth.so"
            modparam("auth", "algorithm", "{algorithm}")
            modparam("auth", "qop", "auth")
            request_route {{
                if (!pv_www_authenticate("{REALM}", "{PASSWORD}", "0")) {{
                    www_challenge("{REALM}", "1");
                    exit;
                }}
                sl_send_reply("200", "OK");
            }}
            """
        )
        sip = [PROGRAM, "sip", f"127.0.0.1:{port}", "SUBSCRIBE", f"sip:bob@{REALM}", "--password"]
        command = ["kamailio", "-DD", "-E", "-w", str(FOLDER), "-Y", str(FOLDER), "-P", str(FOLDER / "pid"), "-f", str(FOLDER / "kamailio.cfg")]
        with Started("kamailio", command, lambda: run(*sip, PASSWORD)[1] != "" and run(*sip, PASSWORD)[0] == 0) as server:
            code, printed = run(*sip, PASSWORD)
            check(f"Kamailio, SUBSCRIBE, {algorithm}", code == 0 and printed.startswith(f"401 200 {algorithm}"), printed)
            code, printed = run(*sip, "wrong")
            check(f"Kamailio, {algorithm}, wrong password", code == 1 and printed == "digest: credentials were refused", printed)
            server.process.terminate()
            server.process.wait()


# requests takes the last challenge, httpx and aiohttp the first; curl the first that it knows.
sha_256 = dict.fromkeys(("curl", "httpx", "aiohttp"), "SHA-256")
their_clients([], {**sha_256, "requests": "MD5"}, "all offered")
their_clients(["--algorithm", "SHA-256"], {**sha_256, "requests": "SHA-256"}, "SHA-256 alone")
their_clients(["--algorithm", "MD5-sess"], dict.fromkeys(("curl", "requests", "httpx", "aiohttp"), "MD5-sess"), "MD5-sess alone")
their_clients(["--algorithm", "SHA-256-sess"], dict.fromkeys(("curl", "httpx"), "SHA-256-sess"), "SHA-256-sess alone")
lighttpd()
kamailio()
print(f"{passed} exchanges as they should be")
