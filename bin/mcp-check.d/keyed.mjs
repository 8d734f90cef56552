// Hands requests on to a server with the key of LOOPCTL_ORCH_KEY: `node keyed.mjs URL PUBLIC_URL`. The first line says where it
// listens. Clients reach the server here, so what comes from here comes from its public address.
import { createServer, request } from "node:http";

const [url, publicUrl] = process.argv.slice(2);
const to = new URL(url);
const server = createServer((asked, answered) => {
  const headers = { ...asked.headers, authorization: `Bearer ${process.env.LOOPCTL_ORCH_KEY}` };
  const own = ["localhost", "127.0.0.1"].map((host) => `http://${host}:${server.address().port}`);
  if (own.includes(headers.origin)) headers.origin = publicUrl;
  const onward = request({ host: to.hostname, port: to.port, path: asked.url, method: asked.method, headers }, (answer) => {
    answered.writeHead(answer.statusCode, answer.headers);
    answer.pipe(answered);
  });
  onward.on("error", (error) => answered.destroy(error));
  asked.pipe(onward);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
