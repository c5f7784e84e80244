"""Certificates, keys and lists of revoked ones for the tests, made with the command openssl.

    files = tls_files.make(folder)      or the fixture `tls`, made once for all tests
    files.ca, files["server-rsa.pem"]   paths
    files.issue("mine", "/CN=mine", sans=["email:a@b.example"])   one more, signed by the CA

Each name has NAME.pem and NAME-key.pem:

    ca, other-ca, intermediate  authorities; intermediate is signed by ca, other-ca by nobody
    server-rsa, server-p256, server-p384, server-ed25519   for localhost, 127.0.0.1, ::1
    server-second               for second.example
    server-chain                for localhost, signed by intermediate, which stands behind it in the file
    server-expired, server-future
    client                      CN=client, without alternative names
    client-email, client-dns, client-uri, client-many, client-names (subject of several parts)
    client-expired, client-future, client-other (of other-ca), client-revoked, client-chain
    client-server               may be a server only

Also: server-both.pem (certificate and key in one file), server-rsa-key-pkcs1.pem, server-p256-key-sec1.pem,
server-rsa-key-locked.pem, server-p256-key-locked.pem (PKCS#8), server-rsa-key-old.pem (the older encryption),
password, password-wrong (files), crl.pem (client-revoked), crl-empty.pem, crl-expired.pem, crl-other.pem (of
other-ca), garbage.pem, empty.pem."""
import hashlib
import os
import subprocess

import pytest

PASSWORD = "correct horse"
LOCAL = ["DNS:localhost", "IP:127.0.0.1", "IP:::1"]
CA_EXTENSIONS = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"

# What `openssl ca` needs to know of an authority.
AUTHORITY = """[ca]
default_ca = here
[here]
dir = {folder}
database = {folder}/index
new_certs_dir = {folder}
certificate = {certificate}
private_key = {key}
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
default_days = 3650
default_crl_days = 3650
[any]
commonName = optional
"""


def openssl(*args, text=None):
    done = subprocess.run(["openssl", *args], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"openssl {' '.join(args)}: {done.stderr}"
    return done.stdout


class Files:
    def __init__(self, folder):
        self.folder = str(folder)
        self.ca, self.crl, self.password = self["ca.pem"], self["crl.pem"], self["password"]

    def __getitem__(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self[name], "w") as f:
            f.write(text)
        return self[name]

    def read(self, name):
        with open(self[name]) as f:
            return f.read()

    def make_key(self, name, kind="p256"):
        how = {"rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "rsa3072": ["RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
               "p256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "p384": ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
               "p521": ["EC", "-pkeyopt", "ec_paramgen_curve:P-521"], "ed25519": ["ED25519"], "ed448": ["ED448"]}
        openssl("genpkey", "-out", self[f"{name}-key.pem"], "-algorithm", *how[kind])

    def authority(self, name, issuer=None):
        """A new authority; without issuer it signs itself."""
        folder = self[f"{name}.d"]
        os.mkdir(folder)
        self.write(f"{name}.d/index", "")
        self.write(f"{name}.d/index.attr", "unique_subject = no\n")
        self.write(f"{name}.cnf", AUTHORITY.format(folder=folder, certificate=self[f"{name}.pem"], key=self[f"{name}-key.pem"]))
        if issuer is not None:
            return self.issue(name, f"/O=Test/CN={name}", ca=issuer, extensions=CA_EXTENSIONS)
        self.make_key(name)
        self.write(f"{name}.ext", "[req]\ndistinguished_name=dn\n[dn]\n[ca]\n" + CA_EXTENSIONS)
        openssl("req", "-x509", "-new", "-key", self[f"{name}-key.pem"], "-out", self[f"{name}.pem"], "-days", "3650",
                "-subj", f"/O=Test/CN={name}", "-config", self[f"{name}.ext"], "-extensions", "ca")
        return self[f"{name}.pem"]

    def issue(self, name, subject, sans=(), kind="p256", ca="ca", usage="serverAuth,clientAuth", start="20200101000000Z",
              end="20550101000000Z", extensions=None):
        """NAME.pem and NAME-key.pem (made if it is not there yet); the certificate's path."""
        if not os.path.exists(self[f"{name}-key.pem"]):
            self.make_key(name, kind)
        if extensions is None:
            extensions = (f"basicConstraints=critical,CA:FALSE\nextendedKeyUsage={usage}\n"
                          "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
            extensions += f"subjectAltName={','.join(sans)}\n" if sans else ""
        self.write(f"{name}.ext", extensions)
        openssl("req", "-new", "-key", self[f"{name}-key.pem"], "-subj", subject, "-out", self[f"{name}.csr"], "-utf8")
        openssl("ca", "-batch", "-notext", "-preserveDN", "-config", self[f"{ca}.cnf"], "-in", self[f"{name}.csr"],
                "-out", self[f"{name}.pem"], "-extfile", self[f"{name}.ext"], "-startdate", start, "-enddate", end)
        return self[f"{name}.pem"]

    def revoke(self, *names, ca="ca", crl="crl.pem", more=()):
        """A list of the authority in which these, and those revoked before, stand."""
        for name in names:
            openssl("ca", "-config", self[f"{ca}.cnf"], "-revoke", self[f"{name}.pem"])
        openssl("ca", "-gencrl", "-config", self[f"{ca}.cnf"], "-out", self[crl], *more)
        return self[crl]

    def pin(self, name):
        """What pinned_certs has for NAME.pem: SHA-256 of its SubjectPublicKeyInfo, in hexadecimal."""
        public = openssl("x509", "-in", self[f"{name}.pem"], "-noout", "-pubkey")
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public.encode(), capture_output=True, check=True)
        return hashlib.sha256(der.stdout).hexdigest()

    def block(self, *more, server="server-rsa"):
        """A tls block with that certificate and what else is said."""
        return "tls { %s }\n" % "; ".join([f'cert_file: "{self[server + ".pem"]}"', f'key_file: "{self[server + "-key.pem"]}"', *more])


def servers(f):
    for kind in ("rsa", "p256", "p384", "ed25519"):
        f.issue(f"server-{kind}", "/O=Test/CN=localhost", LOCAL, kind)
    f.issue("server-second", "/O=Test/CN=second.example", ["DNS:second.example"])
    f.issue("server-expired", "/O=Test/CN=localhost", LOCAL, end="20210101000000Z")
    f.issue("server-future", "/O=Test/CN=localhost", LOCAL, start="20540101000000Z")
    f.issue("server-chain", "/O=Test/CN=localhost", LOCAL, ca="intermediate")
    f.write("server-chain.pem", f.read("server-chain.pem") + f.read("intermediate.pem"))
    f.write("server-both.pem", f.read("server-p256-key.pem") + f.read("server-p256.pem"))


def clients(f):
    f.issue("client", "/CN=client")
    f.issue("client-email", "/O=Test/CN=email", ["email:user@example.com"])
    f.issue("client-dns", "/O=Test/CN=dns", ["DNS:client.example.com"])
    f.issue("client-uri", "/O=Test/CN=uri", ["URI:spiffe://example.com/client"])
    f.issue("client-many", "/O=Test/CN=many", ["URI:spiffe://example.com/many", "DNS:one.example.com", "DNS:two.example.com",
                                               "email:first@example.com", "email:second@example.com"])
    f.issue("client-names", "/DC=com/DC=example/O=Test, and more/OU=One/OU=Two/CN=several parts")
    f.issue("client-expired", "/CN=client", end="20210101000000Z")
    f.issue("client-future", "/CN=client", start="20540101000000Z")
    f.issue("client-other", "/CN=client", ca="other-ca")
    f.issue("client-revoked", "/CN=client-revoked")
    f.issue("client-server", "/CN=client-server", usage="serverAuth")
    f.issue("client-chain", "/CN=client-chain", ca="intermediate")
    f.write("client-chain.pem", f.read("client-chain.pem") + f.read("intermediate.pem"))


def key_forms(f):
    rsa, p256 = f["server-rsa-key.pem"], f["server-p256-key.pem"]
    f.write("password", PASSWORD + "\n")
    f.write("password-wrong", "not " + PASSWORD + "\n")
    openssl("rsa", "-in", rsa, "-traditional", "-out", f["server-rsa-key-pkcs1.pem"])
    openssl("ec", "-in", p256, "-out", f["server-p256-key-sec1.pem"])
    openssl("rsa", "-in", rsa, "-traditional", "-aes256", "-passout", f"pass:{PASSWORD}", "-out", f["server-rsa-key-old.pem"])
    for name in ("server-rsa", "server-p256"):
        openssl("pkcs8", "-topk8", "-in", f[f"{name}-key.pem"], "-v2", "aes-256-cbc", "-passout", f"pass:{PASSWORD}",
                "-out", f[f"{name}-key-locked.pem"])


def make(folder):
    f = Files(folder)
    for name, issuer in (("ca", None), ("other-ca", None), ("intermediate", "ca")):
        f.authority(name, issuer)
    servers(f)
    clients(f)
    key_forms(f)
    f.revoke(crl="crl-empty.pem")
    f.revoke("client-revoked")
    f.revoke(ca="other-ca", crl="crl-other.pem")
    f.revoke(crl="crl-expired.pem", more=["-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20210101000000Z"])
    f.write("garbage.pem", "this is no certificate and no key\n")
    f.write("empty.pem", "")
    return f


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    """Files that all tests share: none may change them (make() into a folder of one's own for that)."""
    return make(tmp_path_factory.mktemp("tls"))
