// Hands requests on to a server with the key of LOOPCTL_ORCH_KEY: `node keyed.mjs URL`. The first line says where it listens.
import { createServer, request } from "node:http";

const to = new URL(process.argv[2]);
const server = createServer((asked, answered) => {
  const headers = { ...asked.headers, authorization: `Bearer ${process.env.LOOPCTL_ORCH_KEY}` };
  const onward = request({ host: to.hostname, port: to.port, path: asked.url, method: asked.method, headers }, (answer) => {
    answered.writeHead(answer.statusCode, answer.headers);
    answer.pipe(answered);
  });
  onward.on("error", (error) => answered.destroy(error));
  asked.pipe(onward);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
