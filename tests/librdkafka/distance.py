"""A way to a broker that takes some milliseconds, as a network does.

0097 expects a refused certificate to be told as an error of TLS.  When the certificate is there before the client's first call of
SSL_connect has returned, librdkafka tells it as an error of the connection; over loopback that is one of some dozens."""
import socket
import socketserver
import threading
import time

SECONDS = 0.02


def pump(source, sink):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            time.sleep(SECONDS)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Distance(socketserver.ThreadingTCPServer):
    """Listens on a port of its own, .port, until close()."""
    daemon_threads = True

    class RequestHandlerClass(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.create_connection(self.server.broker) as far:
                back = threading.Thread(target=pump, args=(far, self.request), daemon=True)
                back.start()
                pump(self.request, far)
                back.join()

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), self.RequestHandlerClass)
        self.broker = ("127.0.0.1", port)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()
