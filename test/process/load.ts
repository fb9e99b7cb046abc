/**
 * A load at a bounded rate over raw sockets, that counts everything that goes wrong: refused, reset, cut, or answered with
 * anything but 200. Its own client, because wrk does not count a connection that is closed between requests.
 */
export type Load = {
  readonly answered: number;
  readonly errors: readonly string[];
  stop(): Promise<Result>;
};

export type Result = {
  readonly answered: number;
  readonly errors: readonly string[];
  readonly perSecond: number;
};

export type LoadSettings = {
  readonly port: number;
  readonly path: string;
  readonly cookie: string;
  /** A connection for each request, or connections that are kept as long as the server keeps them. */
  readonly connections: "kept" | "fresh";
  readonly perSecond: number;
  readonly parallel?: number;
  /** Further lines of each head. */
  readonly fields?: readonly string[];
};

export function startLoad(settings: LoadSettings): Load {
  const { port, perSecond, parallel = 16, fields = [] } = settings;
  const lines = [
    `GET ${settings.path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    `Cookie: ${settings.cookie}`,
    ...fields,
  ];
  const request = `${lines.join("\r\n")}\r\n\r\n`;
  const errors: string[] = [];
  const begun = performance.now();
  let running = true;
  let answered = 0;
  let sent = 0;

  /** When the next request is due; never more than a little behind, so that a pause is not made up for by a burst. */
  async function turn(): Promise<void> {
    const due = begun + (sent++ * 1000) / perSecond;
    const wait = due - performance.now();
    if (wait > 1) await Bun.sleep(wait);
    else if (wait < -200) sent = Math.ceil(((performance.now() - begun) * perSecond) / 1000);
  }

  async function client(): Promise<void> {
    let connection: Connection | undefined;
    while (running) {
      await turn();
      if (!running) break;
      try {
        if (connection === undefined || connection.over) connection = await open(port);
        const { status, last } = await connection.ask(request);
        if (status === 200) answered++;
        else errors.push(`status ${status}`);
        if (last || settings.connections === "fresh") {
          connection.close();
          connection = undefined;
        }
      } catch (error) {
        errors.push(
          `${Math.round(performance.now() - begun)} ms: ${error instanceof Error ? error.message : String(error)}`,
        );
        connection?.close();
        connection = undefined;
      }
    }
    connection?.close();
  }

  const clients = Array.from({ length: parallel }, client);
  return {
    get answered() {
      return answered;
    },
    errors,
    async stop() {
      running = false;
      await Promise.all(clients);
      return { answered, errors, perSecond: Math.round((answered * 1000) / (performance.now() - begun)) };
    },
  };
}

type Connection = {
  ask(request: string): Promise<{ readonly status: number; readonly last: boolean }>;
  close(): void;
  /** The server has closed it while nothing was asked. */
  readonly over: boolean;
};

async function open(port: number): Promise<Connection> {
  let text = "";
  let over = false;
  let settle:
    | { resolve(answer: { status: number; last: boolean }): void; reject(error: Error): void }
    | undefined;
  const end = (how: string) => {
    over = true;
    settle?.reject(new Error(`${how} after ${JSON.stringify(text.slice(0, 60))}`));
    settle = undefined;
  };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data(_, chunk) {
        text += chunk.toString("latin1");
        const answer = parse(text);
        if (answer === undefined) return;
        text = "";
        settle?.resolve(answer);
        settle = undefined;
      },
      end: () => end("cut"),
      close: () => end("closed"),
      error: (_, error) => end(`broken: ${error.message}`),
    },
  });
  return {
    ask(request) {
      return new Promise((resolve, reject) => {
        settle = { resolve, reject };
        if (over) return end("closed before it was asked");
        socket.write(request);
      });
    },
    close: () => void socket.end(),
    get over() {
      return over;
    },
  };
}

/** Undefined while the answer is not complete. */
function parse(text: string): { status: number; last: boolean } | undefined {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd === -1) return undefined;
  const head = text.slice(0, headEnd).toLowerCase();
  const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1];
  const body = text.length - headEnd - 4;
  const complete = length === undefined ? text.endsWith("0\r\n\r\n") : body >= Number(length);
  return complete
    ? { status: Number(head.slice(9, 12)), last: head.includes("\r\nconnection: close") }
    : undefined;
}
