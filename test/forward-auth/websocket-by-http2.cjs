// Node, because Bun's client has no extended CONNECT (RFC 8441). Prints the status, or "not offered".
const { readFileSync } = require("node:fs");
const { connect } = require("node:http2");

const [port, host, cookie, origin, certificate] = process.argv.slice(2);
const session = connect(`https://127.0.0.1:${port}`, { ca: readFileSync(certificate), servername: host });
const tell = (text) => {
  console.log(text);
  session.destroy();
};
session.on("error", (error) => tell(error.message));
session.on("remoteSettings", ({ enableConnectProtocol }) => {
  if (!enableConnectProtocol) return tell("not offered");
  const request = session.request({
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "https",
    ":path": "/socket-by-two",
    ":authority": host,
    "sec-websocket-version": "13",
    cookie,
    origin,
  });
  request.on("response", (headers) => tell(headers[":status"]));
  request.on("error", (error) => tell(error.message));
});
