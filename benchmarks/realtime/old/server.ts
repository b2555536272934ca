// The old design, as it is known: Bun, one ioredis subscriber per connected user, GEOADD + SET per viewport.
// It hands messages through as they are, which is kind to it: the original parsed and wrote each again.
import Redis from "ioredis";

const port = Number(process.env.PORT);
const redis = { host: "127.0.0.1", port: Number(process.env.REDIS_PORT), password: process.env.REDIS_PASSWORD };
const commands = new Redis(redis);

Bun.serve({
  port,
  hostname: "127.0.0.1",
  fetch(request, server) {
    if (server.upgrade(request, { data: {} })) return;
    return new Response("ok");
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    async message(socket: any, raw: any) {
      const frame = JSON.parse(raw);
      if (frame.type === "identify") {
        const channel = `user:${frame.userId}`;
        const subscriber = new Redis(redis);
        socket.data = { channel, subscriber };
        subscriber.on("error", () => {});
        subscriber.on("message", (_: string, message: string) => socket.send(message));
        await subscriber.subscribe(channel);
        socket.send('{"type":"ready"}');
      } else if (frame.type === "viewport") {
        const { west, south, east, north } = frame.bounds;
        const id = socket.data.channel;
        commands.geoadd("viewports:geo", (west + east) / 2, (south + north) / 2, id);
        const view = JSON.stringify({ bounds: frame.bounds, zoom: frame.zoom, updatedAt: Date.now() });
        commands.set(`viewport:${id}`, view, "EX", 3600);
      }
    },
    close(socket: any) {
      socket.data?.subscriber?.disconnect();
    },
  },
});
