"""Certificates as test 0097 wants them, made with openssl: an authority, a broker for 127.0.0.1, a client in every format."""
import subprocess

PASSWORD = "secret-of-the-key"


def openssl(folder, *args):
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)


def signed(folder, name, subject, *more):
    """NAME.pem and NAME.key, signed by the authority."""
    openssl(folder, "req", "-newkey", "rsa:2048", "-subj", f"/CN={subject}", "-keyout", f"{name}.key", "-out", f"{name}.csr", *more)
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "extensions", "-out", f"{name}.pem")


def make(folder):
    """(settings of tarn, lines of test.conf, environment)"""
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    signed(folder, "broker", "broker", "-nodes")
    signed(folder, "client", "client", "-passout", f"pass:{PASSWORD}")
    openssl(folder, "x509", "-in", "ca.pem", "-outform", "DER", "-out", "ca.der")
    openssl(folder, "x509", "-in", "client.pem", "-outform", "DER", "-out", "client.der")
    openssl(folder, "rsa", "-in", "client.key", "-passin", f"pass:{PASSWORD}", "-outform", "DER", "-out", "client.key.der")
    openssl(folder, "pkcs12", "-export", "-in", "client.pem", "-inkey", "client.key", "-passin", f"pass:{PASSWORD}",
            "-certfile", "ca.pem", "-passout", f"pass:{PASSWORD}", "-out", "client.p12")
    (folder / "all.pem").write_text((folder / "ca.pem").read_text() + (folder / "broker.pem").read_text())
    conf = {"security.protocol": "ssl", "ssl.ca.location": folder / "ca.pem", "ssl.certificate.location": folder / "client.pem",
            "ssl.key.location": folder / "client.key", "ssl.key.password": PASSWORD}
    environment = {"SSL_client_auth": "requested", "SSL_password": PASSWORD, "SSL_pkcs": folder / "client.p12",
                   "SSL_ca_der": folder / "ca.der", "SSL_all_cas_pem": folder / "all.pem",
                   "SSL_pub_der": folder / "client.der", "SSL_pub_pem": folder / "client.pem",
                   "SSL_priv_der": folder / "client.key.der", "SSL_priv_pem": folder / "client.key"}
    return {"cert": "broker.pem", "key": "broker.key"}, conf, {key: str(value) for key, value in environment.items()}
