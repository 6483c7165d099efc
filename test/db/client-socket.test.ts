/** The socket that clients of databases get, on every driver, against plain servers: before, while and after it is connected. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { ClientSocket, mysqlStream, pgStream } from "../../src/db/index.js";
import { closeThreadDriver, configureThreadDriver } from "../../src/runtime/thread-driver.js";
import { driversUnderTest } from "../support/drivers.js";

interface Listening {
  readonly server: Server;
  readonly port: number;
  readonly sockets: Socket[];
}

async function withServer(
  serve: (socket: Socket) => void,
  use: (listening: Listening) => Promise<void>,
): Promise<void> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    sockets.push(socket);
    serve(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await use({ server, port: (server.address() as { port: number }).port, sockets });
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

const echo = (socket: Socket) => socket.pipe(socket);

for (const { name, skip } of driversUnderTest) {
  describe(`ClientSocket on the ${name} driver`, { skip }, () => {
    before(() => configureThreadDriver({ name }));
    after(closeThreadDriver);

    test("sends what was written before it was connected, in order, and its end behind that", () =>
      withServer(echo, async ({ port }) => {
        const socket = new ClientSocket();
        assert.deepEqual([socket.connecting, socket.pending, socket.remoteAddress], [true, true, undefined]);
        socket.write("one ");
        socket.connect(port, "127.0.0.1");
        socket.write("two ");
        socket.end("three");
        let connects = 0;
        socket.on("connect", () => connects++);
        let text = "";
        for await (const bytes of socket) text += String(bytes);
        assert.equal(text, "one two three");
        assert.equal(connects, 1);
      }));

    test("an end that was asked for while it connects reaches the peer", () =>
      withServer(
        (socket) => void socket.resume(),
        async ({ port, sockets }) => {
          const socket = new ClientSocket().connect(port, "127.0.0.1");
          socket.end();
          await once(socket.resume(), "end");
          assert.equal(sockets.length, 1);
        },
      ));

    test("has the face of a net.Socket once it is connected", () =>
      withServer(echo, async ({ port }) => {
        const socket = new ClientSocket();
        await new Promise<void>((resolve) => void socket.connect({ host: "127.0.0.1", port }, undefined, resolve));
        assert.deepEqual([socket.connecting, socket.remoteAddress, socket.remotePort], [false, "127.0.0.1", port]);
        assert.equal(socket.setNoDelay(true).setKeepAlive(true, 60_000).setNoDelay(false).ref().unref(), socket);
        assert.throws(() => socket.connect(port), TypeError);
        const bytes = Buffer.alloc(3_000_000, "0123456789");
        socket.end(bytes);
        const received: Buffer[] = [];
        for await (const piece of socket) received.push(piece as Buffer);
        assert.ok(bytes.equals(Buffer.concat(received)));
      }));

    test("is destroyed with the error when the connect is refused, and writes that wait fail", async () => {
      let refusing = 0;
      await withServer(echo, async ({ port }) => {
        refusing = port;
      });
      const socket = new ClientSocket().connect(refusing, "127.0.0.1");
      const written = new Promise((resolve) => socket.write("lost", resolve));
      const [error] = await once(socket, "error");
      assert.equal((error as NodeJS.ErrnoException).code, "ECONNREFUSED");
      assert.ok((await written) instanceof Error);
      if (!socket.closed) await once(socket, "close");
      const path = new ClientSocket().connect("/nowhere/at/all.sock");
      assert.equal(((await once(path, "error"))[0] as NodeJS.ErrnoException).code, "ENOENT");
      const wrong = new ClientSocket().connect(70_000);
      assert.ok((await once(wrong, "error"))[0] instanceof RangeError);
    });

    test("gives a connect up when it is destroyed, when its signal aborts and when its time is over", async () => {
      let asked: AbortSignal | undefined;
      const resolver = (_host: string, { signal }: { readonly signal?: AbortSignal | undefined }) => {
        asked = signal;
        return new Promise<never>(() => {});
      };
      const socket = new ClientSocket({ resolver }).connect(1, "never.test");
      socket.destroy();
      await once(socket, "close");
      assert.equal(asked?.aborted, true, "nobody goes on looking for addresses");
      const giveUp = new AbortController();
      const aborted = new ClientSocket({ resolver, signal: giveUp.signal }).connect(1, "never.test");
      giveUp.abort();
      assert.equal(((await once(aborted, "error"))[0] as NodeJS.ErrnoException).code, "ERR_RINGLOOM_ABORTED");
      const late = new ClientSocket({ resolver, timeoutMs: 5 }).connect(1, "never.test");
      assert.equal(((await once(late, "error"))[0] as NodeJS.ErrnoException).code, "ERR_RINGLOOM_TIMEOUT");
    });

    test("emits timeout when nothing comes, also while it connects, and goes on", () =>
      withServer(echo, async ({ port }) => {
        const connecting = new ClientSocket({ resolver: () => new Promise<never>(() => {}) }).connect(
          port,
          "never.test",
        );
        connecting.setTimeout(10);
        await once(connecting, "timeout");
        connecting.destroy();
        const socket = new ClientSocket().connect(port, "127.0.0.1");
        socket.setTimeout(10);
        await once(socket, "timeout");
        socket.setTimeout(0);
        socket.write("still here");
        assert.equal(String((await once(socket, "data"))[0]), "still here");
        socket.destroy();
      }));

    test("a peer that resets it is an error, one that ends it an end", async () => {
      await withServer(
        (socket) => socket.once("data", () => socket.resetAndDestroy()),
        async ({ port }) => {
          const socket = new ClientSocket().connect(port, "127.0.0.1");
          socket.write("x");
          assert.equal(((await once(socket, "error"))[0] as NodeJS.ErrnoException).code, "ECONNRESET");
        },
      );
      await withServer(
        (socket) => socket.end("bye"),
        async ({ port }) => {
          const socket = new ClientSocket().connect(port, "127.0.0.1");
          let text = "";
          for await (const bytes of socket) text += String(bytes);
          assert.equal(text, "bye");
          if (!socket.closed) await once(socket, "close");
        },
      );
    });

    test("resetAndDestroy() ends a connection that waits", () =>
      withServer(
        (socket) => void socket.resume(),
        async ({ port, sockets }) => {
          const socket = new ClientSocket().connect(port, "127.0.0.1");
          await once(socket, "connect");
          socket.resetAndDestroy();
          await once(socket, "close");
          while (sockets.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
          const peer = sockets[0];
          if (peer !== undefined && !peer.closed) await once(peer, "close");
        },
      ));

    test("pgStream() and mysqlStream() give sockets, each as its library wants it", () =>
      withServer(echo, async ({ port }) => {
        assert.equal(pgStream()().pending, true);
        const config = { host: "127.0.0.1", port: String(port), enableKeepAlive: true, keepAliveInitialDelay: 1_000 };
        const socket = mysqlStream()({ config });
        await once(socket, "connect");
        assert.equal(socket.remotePort, port);
        socket.destroy();
      }));
  });
}
