"""The block tls: the same verdict and digest as the real server, where it has one, and for what is
wrong the place and what was expected. <name> stands for the path of a file of tls_files.py, in quotes."""
import re
import subprocess

import pytest

import harness
from test_config_corpus import verdict

PIN = "9066D39a0a4bc1aa579d93e8e66b13ef6db29af1c2441bd64bc826bc901bea09"
PAIR = "cert_file: <server-rsa.pem>, key_file: <server-rsa-key.pem>"
VERIFY = "verify: true, ca_file: <ca.pem>"


def block(*keys):
    return "tls { %s }" % ", ".join([PAIR, *keys])


def suites(*names):
    return block("cipher_suites: [%s]" % ", ".join(names))


def curves(*names):
    return block("curve_preferences: [%s]" % ", ".join(names))


def insecure(*names):
    return block("allow_insecure_cipher_suites: true", "cipher_suites: [%s]" % ", ".join(names))


SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
          *(f"TLS_ECDHE_{kind}_WITH_{cipher}" for kind in ("ECDSA", "RSA") for cipher in (
              "AES_128_CBC_SHA", "AES_256_CBC_SHA", "AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"))]
CBC = ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"]
RSA = [f"TLS_RSA_WITH_{cipher}" for cipher in ("RC4_128_SHA", "3DES_EDE_CBC_SHA", "AES_128_CBC_SHA", "AES_256_CBC_SHA",
                                               "AES_128_CBC_SHA256", "AES_128_GCM_SHA256", "AES_256_GCM_SHA384")]
BROKEN = ["TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", "TLS_ECDHE_RSA_WITH_RC4_128_SHA", "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"]

# ---- what both take

GOOD = {
    "pair": block(),
    "pair_p256": "tls { cert_file: <server-p256.pem>, key_file: <server-p256-key.pem> }",
    "pair_p384": "tls { cert_file: <server-p384.pem>, key_file: <server-p384-key.pem> }",
    "pair_ed25519": "tls { cert_file: <server-ed25519.pem>, key_file: <server-ed25519-key.pem> }",
    "pair_pkcs1": "tls { cert_file: <server-rsa.pem>, key_file: <server-rsa-key-pkcs1.pem> }",
    "pair_sec1": "tls { cert_file: <server-p256.pem>, key_file: <server-p256-key-sec1.pem> }",
    "pair_of_one_file": "tls { cert_file: <server-both.pem>, key_file: <server-both.pem> }",
    "chain": "tls { cert_file: <server-chain.pem>, key_file: <server-chain-key.pem> }",
    "expired": "tls { cert_file: <server-expired.pem>, key_file: <server-expired-key.pem> }",
    "not_yet_valid": "tls { cert_file: <server-future.pem>, key_file: <server-future-key.pem> }",
    "names_in_any_case": "TLS { Cert_File: <server-rsa.pem>, KEY_FILE: <server-rsa-key.pem> }",
    "variable": "C: <server-rsa.pem>\ntls { cert_file: $C, key_file: <server-rsa-key.pem> }",
    "of_two_the_last": "tls: { cert_file: nowhere, key_file: nowhere }\ntls: { %s }" % PAIR,
    "authority": block("ca_file: <ca.pem>"),
    "authorities": block("ca_file: <server-chain.pem>"),
    "verify": block(VERIFY),
    "verify_not": block("verify: false"),
    "verify_yes": block("verify: yes", "ca_file: <ca.pem>"),
    "map": block("verify_and_map: true", "ca_file: <ca.pem>"),
    "map_not": block("verify_and_map: false"),
    "map_with_users": block("verify_and_map: true", "ca_file: <ca.pem>") + '\nauthorization { users: [{user: "CN=a"}] }',
    "verify_and_both": block("verify: true", "verify_and_map: true", "ca_file: <ca.pem>"),
    "known_urls_not": block("verify_cert_and_check_known_urls: false"),
    "insecure": block("insecure: true"),
    "insecure_not": block("insecure: false"),
    "pins": block(VERIFY, f"pinned_certs: ['{PIN}', '{PIN.lower()}']"),
    "pins_none": block("pinned_certs: []"),
    "pins_without_verify": block(f"pinned_certs: ['{PIN}']"),
    "timeout_number": block("timeout: 3"),
    "timeout_real": block("timeout: 0.5"),
    "timeout_text": block('timeout: "1m30s"'),
    "timeout_zero": block("timeout: 0"),
    "timeout_zero_text": block('timeout: "0s"'),
    "timeout_long": block('timeout: "24h"'),
    "first": block("handshake_first: true"),
    "first_not": block("handshake_first: false"),
    "first_on": block('handshake_first: "on"'),
    "first_off": block("handshake_first: 'OFF'"),
    "first_true_text": block("handshake_first: 'True'"),
    "first_auto": block("handshake_first: auto"),
    "first_auto_upper": block('handshake_first: "AUTO"'),
    "first_auto_fallback": block("handshake_first: auto_fallback"),
    "first_duration": block('handshake_first: "300ms"'),
    "first_duration_zero": block('handshake_first: "0s"'),
    "first_duration_below": block('handshake_first: "-1s"'),
    "first_duration_long": block('handshake_first: "100h"'),
    "first_short": block("first: true"),
    "first_immediate": block("immediate: 'auto'"),
    "rate": block("connection_rate_limit: 100"),
    "rate_none": block("connection_rate_limit: 0"),
    "rate_below": block("connection_rate_limit: -1"),
    "version_1_2": block('min_version: "1.2"'),
    "version_1_3": block("min_version: '1.3'"),
    "certs": "tls { certs: [{%s}, {cert_file: <server-second.pem>, key_file: <server-second-key.pem>}] }" % PAIR,
    "certs_one": "tls { certs: [{%s}] }" % PAIR,
    "certificates": "tls { certificates: [{%s}] }" % PAIR,
    "suites_all": suites(*SUITES),
    "suites_in_quotes": suites('"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"'),
    "suites_twice": suites(SUITES[5], SUITES[5]),
    "suites_insecure_allowed": insecure(*CBC),
    "suites_allowed_behind": block("cipher_suites: [%s]" % CBC[0], "allow_insecure_cipher_suites: true"),
    "suites_allowed_of_none": block("allow_insecure_cipher_suites: true"),
    "curves_all": curves("X25519", "CurveP256", "CurveP384", "CurveP521"),
    "curves_twice": curves("X25519", "X25519"),
    "curves_new": curves("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "X25519"),
    "match_by": block("cert_match_by: subject"),
    "match_by_upper": block('cert_match_by: "Thumbprint"'),
    "match": block("cert_match: example.com"),
    "match_skip": block("cert_match_skip_invalid: true"),
    "match_authorities": block("ca_certs_match: [a, b]"),
    "match_authorities_text": block("ca_certs_match: a"),
    "ocsp_peer_not": block("ocsp_peer: false"),
    "allow_non_tls": block() + "\nallow_non_tls: true",
    "allow_non_tls_alone": "allow_non_tls: true",
    **{f"suite_{name}": suites(name) for name in SUITES},
    **{f"curve_{name}": curves(name) for name in ("X25519", "CurveP256", "CurveP384", "CurveP521")},
}

# ---- what both refuse, and what we say of it

BAD = {
    "no_block": ("tls: true", "found true or false, expected a block {...} for tls"),
    "no_block_text": ("tls: on", "expected a block {...} for tls"),
    "no_block_list": ("tls: []", "expected a block {...} for tls"),
    "unknown": (block("cert: x"), 'unknown field "cert" in tls'),
    "unknown_near": (block("keyfile: x"), 'unknown field "keyfile" in tls'),
    "certificate_alone": ("tls { cert_file: <server-rsa.pem> }", "missing key_file beside cert_file"),
    "key_alone": ("tls { key_file: <server-rsa-key.pem> }", "missing cert_file beside key_file"),
    "certificate_empty": ('tls { cert_file: "", key_file: <server-rsa-key.pem> }', "missing cert_file beside key_file"),
    "key_with_authority": ("tls { key_file: <server-rsa-key.pem>, ca_file: <ca.pem> }", "missing cert_file beside key_file"),
    "certificate_number": ("tls { cert_file: 5, key_file: x }", '"cert_file": found 5, expected text; put it in quotes'),
    "key_list": (f"tls {{ {PAIR.split(', ')[0]}, key_file: [] }}".replace("<server-rsa.pem>", "x"), "expected text; put it in quotes"),
    "authority_boolean": (block("ca_file: true"), '"ca_file": found true, expected text; put it in quotes'),
    "authority_list": (block("ca_file: [<ca.pem>]"), "expected text; put it in quotes"),
    "verify_text": (block('verify: "true"'), '"verify": found "true", expected true or false, without quotes'),
    "verify_number": (block("verify: 1"), "expected true or false"),
    "map_number": (block("verify_and_map: 1"), "expected true or false"),
    "known_urls": (block("verify_cert_and_check_known_urls: true", "ca_file: <ca.pem>"), "clients have no URLs that are known, expected verify"),
    "known_urls_text": (block("verify_cert_and_check_known_urls: x"), "expected true or false"),
    "insecure_text": (block("insecure: x"), "expected true or false"),
    "allow_text": (block("allow_insecure_cipher_suites: x"), "expected true or false"),
    "suites_none": (suites(), "that is not empty"),
    "suites_text": (block("cipher_suites: TLS_AES_128_GCM_SHA256"), "expected a list of names"),
    "suites_map": (block("cipher_suites: {}"), "expected a list of names"),
    "suites_unknown": (suites("TLS_RSA"), 'cipher_suites: unrecognized cipher "TLS_RSA"'),
    "suites_of_openssl": (suites("ECDHE-RSA-AES128-GCM-SHA256"), 'unrecognized cipher "ECDHE-RSA-AES128-GCM-SHA256"'),
    "suites_lower": (suites("tls_aes_128_gcm_sha256"), "unrecognized cipher"),
    "suites_new_name": (suites("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"), "unrecognized cipher"),
    "suites_number": (suites("5"), "unrecognized cipher 5"),
    "suites_insecure": (suites("TLS_AES_128_GCM_SHA256", *CBC),
                        "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: " + ", ".join(CBC)),
    "suites_not_allowed": (block("cipher_suites: [%s]" % CBC[0], "allow_insecure_cipher_suites: false"), "without 'allow_insecure"),
    "curves_none": (curves(), "that is not empty"),
    "curves_text": (block("curve_preferences: X25519"), "expected a list of names"),
    "curves_unknown": (curves("CurveP224"), 'curve_preferences: unrecognized curve preference "CurveP224"'),
    "curves_of_openssl": (curves("P-256"), 'unrecognized curve preference "P-256"'),
    "curves_lower": (curves("x25519"), "unrecognized curve preference"),
    "curves_number": (curves("256"), "unrecognized curve preference 256"),
    "timeout_unit": (block('timeout: "5"'), '"timeout": found "5", expected seconds, or a duration as "2s"'),
    "timeout_word": (block("timeout: soon"), "expected seconds"),
    "timeout_boolean": (block("timeout: true"), "expected seconds"),
    "timeout_list": (block("timeout: [2]"), "expected seconds"),
    "timeout_empty": (block('timeout: ""'), "expected seconds"),
    "rate_text": (block('connection_rate_limit: "5"'), "expected a whole number"),
    "rate_real": (block("connection_rate_limit: 0.5"), "expected a whole number"),
    "pins_text": (block(f"pinned_certs: '{PIN}'"), '"pinned_certs": found "9066'),
    "pins_short": (block(f"pinned_certs: ['{PIN[1:]}']"), "64 hexadecimal digits"),
    "pins_long": (block(f"pinned_certs: ['{PIN}0']"), "64 hexadecimal digits"),
    "pins_no_digits": (block(f"pinned_certs: ['{PIN[:-1]}g']"), "64 hexadecimal digits"),
    "pins_at_sign": (block(f"pinned_certs: ['{PIN[:-1]}@']"), "64 hexadecimal digits"),
    "pins_control": (block("pinned_certs: [\"\\x10%s\"]" % PIN[1:]), "64 hexadecimal digits"),
    "pins_colons": (block("pinned_certs: ['%s']" % ":".join(PIN[i:i + 2] for i in range(0, 64, 2))), "64 hexadecimal digits"),
    "pins_number": (block("pinned_certs: [5]"), "64 hexadecimal digits"),
    "first_word": (block("handshake_first: soon"), '"handshake_first": found "soon", expected true, false, auto, or a duration'),
    "first_number": (block("handshake_first: 300"), "or a duration"),
    "first_empty": (block('handshake_first: ""'), "or a duration"),
    "first_list": (block("handshake_first: []"), "or a duration"),
    "version_1_0": (block('min_version: "1.0"'), 'min_version: unsupported TLS version "1.0"'),
    "version_1_1": (block('min_version: "1.1"'), 'unsupported TLS version "1.1"'),
    "version_1_4": (block('min_version: "1.4"'), 'found "1.4", expected "1.2" or "1.3", in quotes'),
    "version_number": (block("min_version: 1.2"), 'expected "1.2" or "1.3", in quotes'),
    "version_word": (block("min_version: TLS1.2"), 'expected "1.2" or "1.3", in quotes'),
    "certs_and_pair": (block("certs: [{%s}]" % PAIR), "found cert_file and certs, expected one of them"),
    "certs_and_key": ("tls { key_file: <server-rsa-key.pem>, certs: [{%s}] }" % PAIR, "missing cert_file beside key_file"),
    "certs_block": ("tls { certs: {%s} }" % PAIR, '"certs": found a block {...}, expected a list of blocks'),
    "certs_text": ("tls { certs: x }", "expected a list of blocks"),
    "certs_of_texts": ("tls { certs: [x] }", "found text, expected a block {...} for an entry of certs"),
    "certs_without_key": ("tls { certs: [{cert_file: <server-rsa.pem>}] }", "expected both cert_file and key_file"),
    "certs_without_all": ("tls { certs: [{}] }", "expected both cert_file and key_file"),
    "certs_unknown": ("tls { certs: [{%s, ca_file: x}] }" % PAIR, 'unknown field "ca_file" in an entry of certs'),
    "certs_number": ("tls { certs: [{cert_file: 1, key_file: 2}] }", "expected text; put it in quotes"),
    "store": ("tls { cert_store: WindowsCurrentUser }", "cert_store: there is one on Windows only"),
    "store_unknown": ("tls { cert_store: x }", "cert_store: there is one on Windows only"),
    "store_empty": (block('cert_store: ""'), "cert_store: there is one on Windows only"),
    "store_and_pair": (block("cert_store: WindowsLocalMachine"), "cert_store: there is one on Windows only"),
    "match_by_unknown": (block("cert_match_by: name"), "expected subject, issuer or thumbprint"),
    "match_by_empty": (block('cert_match_by: ""'), "expected subject, issuer or thumbprint"),
    "match_number": (block("cert_match: 5"), "expected text"),
    "match_skip_text": (block("cert_match_skip_invalid: x"), "expected true or false"),
    "match_authorities_number": (block("ca_certs_match: [5]"), "expected text or a list of texts"),
    "ocsp_peer_number": (block("ocsp_peer: 1"), "ocsp_peer: this version does not have OCSP yet"),
    "allow_non_tls_text": ('allow_non_tls: "yes"', "expected true or false"),
    **{f"insecure_{name}": (suites(name), f"option set: {name}") for name in CBC + RSA + BROKEN},
}

# ---- what is in the files; who reads them says it

FILES = {
    "certificate_missing": "tls { cert_file: nowhere.pem, key_file: <server-rsa-key.pem> }",
    "key_missing": "tls { cert_file: <server-rsa.pem>, key_file: nowhere.pem }",
    "authority_missing": block("ca_file: nowhere.pem"),
    "certificate_garbage": "tls { cert_file: <garbage.pem>, key_file: <server-rsa-key.pem> }",
    "certificate_empty_file": "tls { cert_file: <empty.pem>, key_file: <server-rsa-key.pem> }",
    "certificate_is_a_key": "tls { cert_file: <server-rsa-key.pem>, key_file: <server-rsa-key.pem> }",
    "key_garbage": "tls { cert_file: <server-rsa.pem>, key_file: <garbage.pem> }",
    "key_is_a_certificate": "tls { cert_file: <server-rsa.pem>, key_file: <server-rsa.pem> }",
    "key_of_another": "tls { cert_file: <server-rsa.pem>, key_file: <server-second-key.pem> }",
    "key_of_another_kind": "tls { cert_file: <server-rsa.pem>, key_file: <server-p256-key.pem> }",
    "key_of_certs": "tls { certs: [{%s}, {cert_file: <server-second.pem>, key_file: <server-rsa-key.pem>}] }" % PAIR,
    "key_locked": "tls { cert_file: <server-rsa.pem>, key_file: <server-rsa-key-locked.pem> }",
    "key_locked_old": "tls { cert_file: <server-rsa.pem>, key_file: <server-rsa-key-old.pem> }",
    "authority_garbage": block("ca_file: <garbage.pem>"),
    "authority_empty": block("ca_file: <empty.pem>"),
    "folder": "tls { cert_file: \"/\", key_file: <server-rsa-key.pem> }",
}

# ---- verdict here (0 good), verdict there (None: it does not matter), text

OTHER = {
    # no client could get in
    "empty": (1, 0, "tls {}"),
    "without_certificates": (1, 0, "tls { timeout: 2 }"),
    "certs_none": (1, 0, "tls { certs: [] }"),
    # of whom should they be? not of all authorities that the host knows
    "verify_without_authority": (1, 0, block("verify: true")),
    "map_without_authority": (1, 0, block("verify_and_map: true")),
    # said twice
    "first_twice": (1, 0, block("first: true", "handshake_first: true")),
    "certs_twice": (1, 0, "tls { certs: [{%s}], certificates: [{%s}] }" % (PAIR, PAIR)),
    "block_twice": (1, 0, "tls { %s }\nTLS { %s }" % (PAIR, PAIR)),
    # times that nobody means
    "timeout_below": (1, 0, block("timeout: -1")),
    "timeout_below_text": (1, 0, block('timeout: "-1s"')),
    "timeout_short": (1, 0, block('timeout: "1us"')),
    "timeout_days": (1, 0, block('timeout: "25h"')),
    # keys of entries in any case
    "certs_upper": (0, 1, "tls { certs: [{CERT_FILE: <server-rsa.pem>, KEY_FILE: <server-rsa-key.pem>}] }"),
    # any key may be a variable
    "variable_inside": (0, 1, "tls { C: <server-rsa.pem>, cert_file: $C, key_file: <server-rsa-key.pem> }"),
    # what does not exist yet
    "ocsp_peer": (1, 0, block("ocsp_peer: true")),
    "ocsp_peer_block": (1, 0, block("ocsp_peer: {verify: true}")),
    # of curves that this OpenSSL does not have, one at least has to be left
    "curves_only_new": (None, 0, curves("X25519MLKEM768")),
    # our own
    "password": (0, 1, "tls { cert_file: <server-rsa.pem>, key_file: <server-rsa-key-locked.pem>, key_password_file: <password> }"),
    "password_old": (0, 1, "tls { cert_file: <server-rsa.pem>, key_file: <server-rsa-key-old.pem>, key_password_file: <password> }"),
    "password_in_certs": (0, 1, "tls { certs: [{cert_file: <server-p256.pem>, key_file: <server-p256-key-locked.pem>, key_password_file: <password>}] }"),
    "password_beside_certs": (1, 1, "tls { key_password_file: <password>, certs: [{%s}] }" % PAIR),
    "password_number": (1, 1, block("key_password_file: 5")),
    "password_in_the_file": (1, 1, block("key_password: x")),
    "revoked": (0, 1, block(VERIFY, "crl_file: <crl.pem>")),
    "revoked_without_verify": (0, 1, block("crl_file: <crl.pem>")),
    "revoked_number": (1, 1, block("crl_file: 5")),
    "tls_file_check": (0, 1, block() + '\ntls_file_check: "1m"'),
    # without forward secrecy, or broken
    **{f"allowed_{name}": (1, 0, insecure(name)) for name in RSA + BROKEN},
}


def filled(tls, text):
    return re.sub(r"<([\w.-]+)>", lambda m: f'"{tls[m[1]]}"', text)


def said(exe, tmp_path, text):
    (tmp_path / "a.conf").write_text(text)
    return verdict(exe, str(tmp_path / "a.conf"), str(tmp_path))


def ours_of(tls, tmp_path, text):
    return said(harness.BULKHEAD, tmp_path, filled(tls, text))


def theirs_of(tls, tmp_path, text):
    return said(harness.real_server(), tmp_path, filled(tls, text))


@pytest.mark.parametrize("name", GOOD)
def test_what_is_good(tls, tmp_path, name):
    ours, theirs = ours_of(tls, tmp_path, GOOD[name]), theirs_of(tls, tmp_path, GOOD[name])
    assert ours[0] == 0, ours[2]
    assert theirs[0] == 0, theirs[2]
    assert ours[1] is not None and ours[1] == theirs[1]


@pytest.mark.parametrize("name", BAD)
def test_what_is_bad(tls, tmp_path, name):
    text, expected = BAD[name]
    ours, theirs = ours_of(tls, tmp_path, text), theirs_of(tls, tmp_path, text)
    assert ours[0] == 1 and theirs[0] == 1, ours[2] + theirs[2]
    assert expected in ours[2]
    for line in ours[2].splitlines():
        assert re.match(r"bulkhead: \S+/a\.conf:\d+:\d+: .", line), line


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_not_what_they_should_be(tls, tmp_path, name):
    ours, theirs = ours_of(tls, tmp_path, FILES[name]), theirs_of(tls, tmp_path, FILES[name])
    assert ours[0] == 1 and theirs[0] == 1, ours[2] + theirs[2]
    paths = [p.strip('"') for p in re.findall(r'"[^"]*"|nowhere\.pem', filled(tls, FILES[name]))]
    assert any(p in ours[2] for p in paths), ours[2]


@pytest.mark.parametrize("name", OTHER)
def test_what_is_different_on_purpose(tls, tmp_path, name):
    here, there, text = OTHER[name]
    ours = ours_of(tls, tmp_path, text)
    assert here is None or ours[0] == here, ours[2]
    for line in ours[2].splitlines() if ours[0] == 1 else []:
        assert re.match(r"bulkhead: \S+/a\.conf:\d+:\d+: .", line), line
    if there is not None:
        assert theirs_of(tls, tmp_path, text)[0] == there


def test_no_case_is_there_twice():
    texts = list(GOOD.values()) + [text for text, _ in BAD.values()] + list(FILES.values()) + [text for *_, text in OTHER.values()]
    assert len(set(texts)) == len(texts) and len(texts) > 120


# ---- warnings

@pytest.mark.parametrize("key,warning", [
    ("insecure: true", "insecure has no effect on clients"),
    (f"pinned_certs: ['{PIN}']", "pinned_certs without verify: clients are not asked for certificates, so none gets in"),
    ("crl_file: <crl.pem>", "crl_file has no effect without verify"),
    ("cert_match: x", "cert_match has no effect, there is a cert_store on Windows only"),
])
def test_what_does_nothing_is_warned_of(tls, start, key, warning):
    start(config=filled(tls, block(key))).wait_log(r"\[WRN\] \S+\.conf:1:\d+: " + re.escape(warning))


# ---- the command line

def printed(tls, tmp_path, text, *flags):
    path = tmp_path / "a.conf"
    path.write_text(filled(tls, text))
    flags = [re.sub(r"<([\w.-]+)>", lambda m: tls[m[1]], flag) for flag in flags]
    return subprocess.run([harness.BULKHEAD, "--print-config", "-c", str(path), *flags], capture_output=True, text=True,
                          timeout=harness.LIMIT)


def lines_of_block(out):
    """The keys of the block that is printed: {key: (value, where from)}."""
    inside = re.search(r"^tls: \{  # .*?\n(.*?)^\}$", out, re.M | re.S)
    return {m[1]: (m[2], m[3]) for m in re.finditer(r'^    "(\w+)": (.*)  # (.*)$', inside[1], re.M)} if inside else None


PAIR_FLAGS = ["--tlscert=<server-p256.pem>", "--tlskey=<server-p256-key.pem>"]


def test_the_block_is_printed_with_where_each_key_comes_from(tls, tmp_path):
    (tmp_path / "more.conf").write_text("verify: true\nkey_password_file: secret-place")
    text = "tls {\n%s\ninclude more.conf\n%s\n}" % (PAIR.replace(",", "\n"), "ca_file: <ca.pem>")
    done = printed(tls, tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert lines_of_block(done.stdout) == {
        "cert_file": (f'"{tls["server-rsa.pem"]}"', f"{tmp_path}/a.conf:2"),
        "key_file": (f'"{tls["server-rsa-key.pem"]}"', f"{tmp_path}/a.conf:3"),
        "verify": ("true", f"{tmp_path}/more.conf:1"),
        "key_password_file": ('"secret-place"', f"{tmp_path}/more.conf:2"),
        "ca_file": (f'"{tls.ca}"', f"{tmp_path}/a.conf:5"),
    }


def test_what_is_printed_says_the_same(tls, tmp_path):
    text = block(VERIFY, "timeout: 0.5", f"pinned_certs: ['{PIN}']", "handshake_first: auto", 'min_version: "1.3"') + "\nallow_non_tls: true"
    first = printed(tls, tmp_path, text)
    again = printed(tls, tmp_path, first.stdout)
    assert (first.returncode, again.returncode) == (0, 0), again.stderr
    assert {k: v for k, (v, _) in lines_of_block(again.stdout).items()} == {k: v for k, (v, _) in lines_of_block(first.stdout).items()}


def test_flags_take_the_place_of_files_and_verify(tls, tmp_path):
    done = printed(tls, tmp_path, block(VERIFY, "timeout: 7"), *PAIR_FLAGS)
    assert done.returncode == 0, done.stderr
    assert lines_of_block(done.stdout) == {
        "cert_file": (f'"{tls["server-p256.pem"]}"', "command line"), "key_file": (f'"{tls["server-p256-key.pem"]}"', "command line"),
        "verify": ("false", "command line"), "timeout": ("7", f"{tmp_path}/a.conf:1"),
    }
    assert "auth_timeout: \"8s\"" in done.stdout


def test_flags_are_enough(tls, tmp_path):
    done = printed(tls, tmp_path, "port: -1", "--tlsverify", "--tlscacert=<ca.pem>", *PAIR_FLAGS)
    assert done.returncode == 0, done.stderr
    block_said = lines_of_block(done.stdout)
    assert block_said["verify"] == ("true", "command line") and block_said["ca_file"] == (f'"{tls.ca}"', "command line")


@pytest.mark.parametrize("flags", [["--tls=false"], ["--tls=false", "--tlsverify", *PAIR_FLAGS]])
def test_tls_can_be_turned_off(tls, tmp_path, flags):
    done = printed(tls, tmp_path, block(), *flags)
    assert done.returncode == 0 and lines_of_block(done.stdout) is None, done.stdout + done.stderr


@pytest.mark.parametrize("flags,expected", [
    (["--tls"], "TLS Server certificate must be present and valid: expected --tlscert"),
    (["--tlsverify"], "TLS Server certificate must be present and valid: expected --tlscert"),
    (["--tlskey=x"], "TLS Server certificate must be present and valid: expected --tlscert"),
    (["--tlscert=x"], "TLS Server private key must be present and valid: expected --tlskey"),
    (["--tlscert=", "--tlskey=x"], "TLS Server certificate must be present and valid: expected --tlscert"),
    (["--tlsverify", *PAIR_FLAGS], "verify: expected ca_file too"),
])
def test_flags_that_are_not_enough(tls, tmp_path, flags, expected):
    done = printed(tls, tmp_path, "port: -1", *flags)
    assert done.returncode == 1 and done.stderr.startswith(f"bulkhead: the command line: {expected}"), done.stderr
    if flags[-1] != PAIR_FLAGS[-1]:     # the real server takes the authorities of the host
        theirs = subprocess.run([harness.real_server(), "-p", "-1", *flags], capture_output=True, text=True, timeout=harness.LIMIT)
        assert theirs.returncode == 1 and expected.split(":")[0] in theirs.stderr
