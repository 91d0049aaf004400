"""What Cinder's and Nova's hosts do with os-brick. One step per connection: a line of JSON in, a line of JSON out."""

import json
import socketserver
import traceback

import os_brick
from os_brick.initiator import connector
from os_brick.privileged import default as privileged
from oslo_config import cfg

PORT = 7000

# We are root: what would go to a privileged daemon runs here.
privileged.set_client_mode(False)
cfg.CONF([], project="guest")
os_brick.setup(cfg.CONF)
cfg.CONF.set_override("lock_path", "/run", group="oslo_concurrency")


def run(action, multipath, connection=None, device=None):
    if action == "properties":
        return connector.get_connector_properties(None, "10.77.0.2", multipath, multipath)
    iscsi = connector.InitiatorConnector.factory("ISCSI", None, use_multipath=multipath, device_scan_attempts=5)
    if action == "connect":
        return iscsi.connect_volume(connection)
    if action == "extend":
        return iscsi.extend_volume(connection)
    return iscsi.disconnect_volume(connection, device)


class Step(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            answer = {"result": run(**json.loads(self.rfile.readline()))}
        except Exception:
            answer = {"error": traceback.format_exc()}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


socketserver.TCPServer.allow_reuse_address = True
socketserver.TCPServer(("127.0.0.1", PORT), Step).serve_forever()
