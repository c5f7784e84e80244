"""Who may come in and what it may then, under which configuration: as wire_cases.py,
recorded into golden/auth.json."""


def connect(*fields, more=b""):
    """CONNECT with these fields as JSON text, and what follows it in the same write."""
    return [b'CONNECT {"verbose":false,"protocol":1,"headers":true,"no_responders":true'
            + b"".join(b"," + f for f in fields) + b"}\r\n" + (more or b"PING\r\n")]


def user(name, password, more=b"", *fields):
    return connect(b'"user":"%s"' % name, b'"pass":"%s"' % password, *fields, more=more)


def info(said):
    return b"SUB in.box 1\r\n" + said + b"PUB $SYS.REQ.USER.INFO in.box 0\r\n\r\n"


BCRYPT = "$2a$04$/uuJl2vz3p28e9JJpEhTuuP6qYX6Cw0XYWQ3jTHGx7pJ7q05sKr2O"     # of "secret"
NKEY = b"UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

EVERY = {       # tried under each configuration
    "nothing": [b"PING\r\n"],
    "one byte": [b"P", b"ING\r\n"],
    "an empty line": [b"\r\n"],
    "junk": [b"XYZ\r\n"],
    "junk that begins as CONNECT": [b"CABBAGE\r\n"],
    "a message first": [b"SUB foo 1\r\nPUB foo 2\r\nhi\r\n"],
    "CONNECT without a name": connect(),
    "an empty name": user(b"", b""),
    "a password alone": connect(b'"pass":"b"'),
    "a wrong token": connect(b'"auth_token":"x"'),
    "the token": connect(b'"auth_token":"T"'),
    "somebody": user(b"a", b"b"),
    "somebody with a wrong password": user(b"a", b"c"),
    "somebody without a password": connect(b'"user":"a"'),
    "nobody we know": user(b"nobody", b"b"),
    "the name in another case": user(b"A", b"b"),
    "a name with a blank": user(b"a ", b"b"),
    "user and token": user(b"a", b"b", b"", b'"auth_token":"T"'),
    "an nkey that is none": connect(b'"nkey":"UX"', b'"sig":"x"'),
    "an nkey without a signature": connect(b'"nkey":"%s"' % NKEY),
    "an nkey with a wrong signature": connect(b'"nkey":"%s"' % NKEY, b'"sig":"%s"' % (b"A" * 86)),
    "an nkey beside a name": user(b"a", b"b", b"", b'"nkey":"UX"'),
    "a JWT": connect(b'"jwt":"eyJ0.e30.x"', b'"sig":"x"'),
    "another account": user(b"a", b"b", b"", b'"account":"$SYS"'),
    "a new account": user(b"a", b"b", b"", b'"account":"N"', b'"new_account":true'),
    "a protocol that is none": user(b"a", b"b", b"", b'"protocol":7'),
    "a protocol that is none, and a wrong password": user(b"a", b"c", b"", b'"protocol":7'),
    "no responders without headers": user(b"a", b"b", b"", b'"headers":false'),
    "verbose": user(b"a", b"b", b"", b'"verbose":true'),
    "verbose and wrong": user(b"a", b"c", b"", b'"verbose":true'),
    "all in one read": user(b"a", b"b", b"SUB foo 1\r\nPUB foo 2\r\nhi\r\nPING\r\n"),
    "wrong, and more in the same read": user(b"a", b"c", b"SUB foo 1\r\nPUB foo 2\r\nhi\r\nPING\r\n"),
    "a second CONNECT of the same": user(b"a", b"b", b"SUB foo 1\r\n") + user(b"a", b"b", b"PUB foo 0\r\n\r\nPING\r\n"),
    "a second CONNECT with a wrong password": user(b"a", b"b") + user(b"a", b"c"),
    "a second CONNECT of somebody else": user(b"a", b"b") + user(b"other", b"o"),
    "a second CONNECT without a name": user(b"a", b"b", b"SUB foo 1\r\n") + connect(more=b"PUB foo 0\r\n\r\nPING\r\n"),
    "CONNECT that is no JSON": [b"CONNECT {\r\n"],
    "a name that is a number": [b'CONNECT {"user":1}\r\n'],
}

# settings -> {name: [bytes...]}
CASES = {
    "authorization { user: a, password: b }": EVERY,
    "authorization { token: T }": EVERY,
    "authorization { users: [ {user: a, password: b}, {user: other, password: o} ] }": EVERY,
    "accounts { A { users: [ {user: a, password: b}, {nkey: %s} ] }, B { users: [ {user: other, password: o} ] } }"
    % NKEY.decode(): EVERY,
    "accounts { A { users: [ {user: a, password: b} ] }, B { users: [ {user: other, password: o} ] } }\n"
    "no_auth_user: a": EVERY,
    "accounts { A { users: [ {nkey: %s} ] } }\nno_auth_user: %s" % (NKEY.decode(), NKEY.decode()): EVERY,
    "accounts { SYS { users: [ {user: a, password: b} ] } }\nsystem_account: SYS": EVERY,
    "authorization { users: [ {user: a, password: b, allowed_connection_types: [ WEBSOCKET ]} ] }": EVERY,
    'authorization { user: a, password: "%s" }' % BCRYPT: {
        "the password of the hash": user(b"a", b"secret"),
        "the hash itself": user(b"a", BCRYPT.encode()),
        "a wrong password": user(b"a", b"b"),
    },
    'authorization { token: "%s" }' % BCRYPT: {
        "the token of the hash": connect(b'"auth_token":"secret"'),
        "the hash itself": connect(b'"auth_token":"%s"' % BCRYPT.encode()),
    },
    """authorization { users: [ {user: a, password: b, permissions: {
        publish: { allow: ["foo", "foo.*", "q.>"], deny: ["foo.no"] }
        subscribe: { allow: ["foo.*", "bar", "q g", "w v.*", "e", "e f"], deny: ["foo.no", "foo.deep g"] } } } ] }""": {
        "publish": user(b"a", b"b", b"PUB foo 0\r\n\r\nPUB bar 0\r\n\r\nPUB foo.x 0\r\n\r\nPUB foo.no 0\r\n\r\n"
                        b"PUB foo.x.y 0\r\n\r\nPUB q 0\r\n\r\nPUB q.a.b 0\r\n\r\nPING\r\n"),
        "publish with headers": user(b"a", b"b", b"HPUB bar 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n"),
        "publish to a wildcard": user(b"a", b"b", b"PUB foo.* 0\r\n\r\nPUB foo.> 0\r\n\r\nPUB > 0\r\n\r\nPING\r\n"),
        "publish, verbose": user(b"a", b"b", b"PUB bar 0\r\n\r\nPUB foo 0\r\n\r\nSUB x 1\r\nPING\r\n", b'"verbose":true'),
        "publish, pedantic": user(b"a", b"b", b"PUB bar.* 0\r\n\r\nPUB foo.* 0\r\n\r\nPING\r\n", b'"pedantic":true'),
        "publish a reserved subject": user(b"a", b"b", b"PUB _GR_.a.b 0\r\n\r\nPUB foo _R_.x 0\r\n\r\nPUB $NRG.a 0\r\n\r\nPING\r\n"),
        "a reply needs no permission": user(b"a", b"b", b"SUB bar 1\r\nPUB foo bar 0\r\n\r\nPUB foo nowhere 0\r\n\r\nPING\r\n"),
        "subscribe": user(b"a", b"b", b"SUB foo 1\r\nSUB foo.x 2\r\nSUB foo.no 3\r\nSUB bar 4\r\nSUB > 5\r\nSUB *.x 6\r\nPING\r\n"),
        "subscribe in a group": user(b"a", b"b", b"SUB bar g 1\r\nSUB q 2\r\nSUB q g 3\r\nSUB q h 4\r\nSUB w v.1 5\r\n"
                                     b"SUB w v 6\r\nSUB w v.1.2 7\r\nSUB e 8\r\nSUB e f 9\r\nSUB e x 10\r\n"
                                     b"SUB foo.deep g 11\r\nSUB foo.deep h 12\r\nSUB foo.deep 13\r\nSUB foo.no z 14\r\nPING\r\n"),
        "what overlaps a denied one is not delivered": user(
            b"a", b"b", b"SUB foo.* 1\r\nSUB foo.* z 2\r\nPUB foo.x 0\r\n\r\nPUB foo.no 0\r\n\r\nPING\r\n"),
        "a subject that is none": user(b"a", b"b", b"SUB foo..x 1\r\nSUB bar. 2\r\nPING\r\n"),
        "a quoted subject": user(b"a", b"b", b'PUB "x" 0\r\n\r\nSUB "y\\" 1\r\nSUB z "q" 2\r\nPING\r\n'),
        "the group of the server": user(b"a", b"b", b"SUB bar _sys_ 1\r\nPING\r\n"),
    },
    """authorization { users: [ {user: a, password: b, permissions: { publish: "x", allow_responses: {max: 2, expires: "1m"} } },
        {user: other, password: o} ] }""": {
        "an answer that nobody asked for": user(b"a", b"b", b"SUB ask 1\r\nPUB in.box 0\r\n\r\nPING\r\n"),
        "its own question": user(b"a", b"b", b"SUB x 1\r\nPUB x in.box 0\r\n\r\nPUB in.box 0\r\n\r\nPUB in.box 0\r\n\r\n"
                                 b"PUB in.box 0\r\n\r\nPING\r\n"),
    },
    """authorization { default_permissions: { publish: "d" }
        users: [ {user: a, password: b}, {user: other, password: o, permissions: { publish: "e" } } ] }""": {
        "the default": user(b"a", b"b", b"PUB d 0\r\n\r\nPUB e 0\r\n\r\nPING\r\n"),
        "one of its own": user(b"other", b"o", b"PUB d 0\r\n\r\nPUB e 0\r\n\r\nPING\r\n"),
    },
    "accounts { A { users: [ {user: a, password: b} ], mappings: { foo: bar, \"in.*\": \"out.$1\" } } }": {
        "mapped": user(b"a", b"b", b"SUB > 1\r\nPING\r\n") + [b"PUB foo 0\r\n\r\nPUB in.x r 2\r\nhi\r\nPUB other 0\r\n\r\nPING\r\n"],
        "mapped, with headers": user(b"a", b"b", b"SUB bar 1\r\nPING\r\n") + [b"HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"],
    },
    """accounts { A { users: [ {user: a, password: b, permissions: { publish: "foo" } } ], mappings: { foo: bar } } }""": {
        "permission is of what it becomes": user(b"a", b"b", b"SUB > 1\r\nPING\r\n") + [b"PUB foo 0\r\n\r\nPING\r\n"],
    },
    "accounts { A { users: [ {user: a, password: b} ] }, B { users: [ {user: other, password: o} ] } }\nno_system_account: true": {
        "who am I, where nobody answers": user(b"a", b"b", b"SUB in.box 1\r\nPUB $SYS.REQ.USER.INFO in.box 0\r\n\r\nPING\r\n"),
    },
}
