import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Sample, startSample } from "../../src/sample/app.ts";

let sample: Sample;

/** What a download holds from an offset on: lines of 16 bytes that say where in their mebibyte they stand. */
function patternBytes(start: number, length: number): Buffer {
  const line = (at: number) => `${(at % 2 ** 20).toString(16).padStart(15, "0")}\n`;
  const first = start - (start % 16);
  const lines = Array.from({ length: Math.ceil((start - first + length) / 16) }, (_, i) =>
    line(first + i * 16),
  );
  return Buffer.from(lines.join("")).subarray(start - first, start - first + length);
}
beforeAll(() => {
  sample = startSample({ hostname: "127.0.0.1", port: 0 });
});
afterAll(() => sample.stop());

const ADA = { "X-Runegate-Authenticated": "true", "X-Runegate-User": "ada@example.org" };
const HTML = { Accept: "text/html" };

function get(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(sample.url + path, { redirect: "manual", ...init });
}

function sha256(bytes: Uint8Array | string): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

describe("the page", () => {
  test("names the user, shows every header, and says why the headers can be believed", async () => {
    const response = await get("/", { headers: { ...ADA, "X-Odd": "one & two" } });
    const page = await response.text();
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(page).toContain('Hello <span class="name">ada@example.org</span>');
    expect(page).toContain("<dt>X-Runegate-User</dt><dd>ada@example.org</dd>");
    expect(page).toContain('<th scope="row">x-odd</th><td>one &#38; two</td>');
    expect(page).toContain(`listens on\n        <code>127.0.0.1:${sample.port}</code>`);
    expect(page).not.toContain("{{");
  });

  test("calls somebody it knows nothing of a stranger", async () => {
    const page = await (await get("/")).text();
    expect(page).toContain("Hello, stranger");
    expect(page).toContain('<dt>Remote-User</dt><dd><span class="absent">not sent</span></dd>');
  });

  test("escapes whatever it shows", async () => {
    const evil = `<script>alert("1")</script>$&`;
    const headers = { "X-Runegate-User": evil, "X-Odd": evil, Cookie: `a=${evil}` };
    for (const path of ["/", "/<script>", "/download?size=<script>"]) {
      const page = await (await get(path, { headers: { ...headers, ...HTML } })).text();
      expect(page.toLowerCase()).not.toContain("<script>");
    }
    expect(await (await get("/", { headers })).text()).toContain(
      "&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62;$&#38;",
    );
  });

  test("has nothing inline and nothing from elsewhere, and a policy that says so", async () => {
    const response = await get("/");
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("unsafe");
    expect(response.headers.get("cache-control")).toBe("no-store");
    const page = await response.text();
    expect(page).not.toMatch(/<style|\sstyle=|\son\w+=|<script>|(?:src|href)="(?:https?:)?\/\//);
    for (const [, path] of page.matchAll(/(?:src|href)="(\/[\w.]+\.\w+)"/g)) {
      const asset = await get(path ?? "");
      expect([path, asset.status]).toEqual([path, 200]);
      const etag = asset.headers.get("etag") ?? "";
      expect((await get(path ?? "", { headers: { "If-None-Match": etag } })).status).toBe(304);
    }
  });
});

test("/whoami tells method, URL, headers and identity", async () => {
  const response = await get("/whoami?a=%20b", { method: "DELETE", headers: ADA });
  const { method, url, headers, identity } = (await response.json()) as Record<string, unknown>;
  expect([method, url]).toEqual(["DELETE", "/whoami?a=%20b"]);
  expect(headers).toContainEqual(["x-runegate-user", "ada@example.org"]);
  expect(identity).toEqual({ authenticated: true, user: "ada@example.org" });
});

describe("an upload", () => {
  const bytes = patternBytes(5, 300_000);

  test.each(["POST", "PUT"])("raw by %s is counted, hashed and named", async (method) => {
    const response = await get("/upload?name=shell.bin", { method, body: bytes });
    expect(await response.json()).toMatchObject({
      name: "shell.bin",
      bytes: 300_000,
      sha256: sha256(bytes),
    });
  });

  test("from a form is the file in it; a browser gets a page", async () => {
    const form = new FormData();
    form.set("note", "x".repeat(1000));
    form.set("file", new File([bytes], "<shell>.bin"));
    const page = await (await get("/upload", { method: "POST", body: form, headers: HTML })).text();
    expect(page).toContain("&#60;shell&#62;.bin");
    expect(page).toContain(sha256(bytes));
    expect(page).toContain("300,000");
  });

  test("in chunks of unknown number, or empty, works too", async () => {
    const body = new ReadableStream({
      start(controller) {
        for (const chunk of ["one", "two", "three"]) controller.enqueue(new TextEncoder().encode(chunk));
        controller.close();
      },
    });
    const chunked = await get("/upload", { method: "POST", body });
    expect(await chunked.json()).toMatchObject({ bytes: 11, sha256: sha256("onetwothree") });
    expect(await (await get("/upload", { method: "POST" })).json()).toMatchObject({ name: null, bytes: 0 });
  });

  test("of a form without a file is refused in words", async () => {
    const form = new FormData();
    form.set("note", "x");
    const response = await get("/upload", { method: "POST", body: form });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      message: "The form has no file. Choose one first.",
      error: "invalid_parameter",
    });
  });
});

describe("a download", () => {
  const isPattern = (bytes: Uint8Array, start: number) =>
    Buffer.compare(bytes, patternBytes(start, bytes.length)) === 0;

  test("is lines that are their own offsets", async () => {
    expect(await (await get("/download?size=48")).text()).toBe(
      "000000000000000\n000000000000010\n000000000000020\n",
    );
  });

  test.each(["0", "1", "1MiB", "3MB"])("of %s arrives whole, with a name and an ETag", async (size) => {
    const response = await get(`/download?size=${size}`);
    const bytes = await response.bytes();
    expect(isPattern(bytes, 0)).toBe(true);
    expect(response.headers.get("content-disposition")).toBe(
      `attachment; filename="sample-${bytes.length}.bin"`,
    );
  });

  test("says its length to HEAD at any size", async () => {
    const head = await get("/download?size=10TB", { method: "HEAD" });
    expect(head.headers.get("content-length")).toBe("10000000000000");
  });

  test("of 10 TB gives any part of itself", async () => {
    const headers = { Range: "bytes=9999999999990-" };
    const response = await get("/download?size=10TB", { headers });
    expect(response.status).toBe(206);
    expect(response.headers.get("content-range")).toBe("bytes 9999999999990-9999999999999/10000000000000");
    expect(isPattern(await response.bytes(), 9_999_999_999_990)).toBe(true);

    const large = await get("/download?size=10TB", { headers: { Range: "bytes=123-3000122" } });
    const bytes = await large.bytes();
    expect([bytes.length, isPattern(bytes, 123)]).toEqual([3_000_000, true]);
  });

  test("answers a range beyond its end with 416, and one of another version with the whole", async () => {
    const beyond = await get("/download?size=100", { headers: { Range: "bytes=100-" } });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, "bytes */100"]);
    const changed = await get("/download?size=100", {
      headers: { Range: "bytes=5-", "If-Range": '"other"' },
    });
    expect([changed.status, (await changed.bytes()).length]).toEqual([200, 100]);
    const same = await get("/download?size=100", {
      headers: { Range: "bytes=5-", "If-Range": '"pattern-100"' },
    });
    expect(same.status).toBe(206);
  });

  test("keeps to its rate", async () => {
    const began = performance.now();
    const bytes = await (await get("/download?size=30KB&rate=100KB")).bytes();
    expect(bytes.length).toBe(30_000);
    // Three pieces: at once, after a tenth of a second, after two tenths.
    expect(performance.now() - began).toBeGreaterThan(190);
  });

  test("without an end holds up nobody, and stops when its reader leaves", async () => {
    const leave = new AbortController();
    const endless = await get("/download?size=10TB", { signal: leave.signal });
    const reader = endless.body?.getReader();
    let received = 0;
    const drain = (async () => {
      for (;;) {
        const chunk = await reader?.read();
        if (chunk === undefined || chunk.done) return;
        received += chunk.value.length;
      }
    })().catch(() => "left");
    for (let i = 0; i < 20; i++) expect((await get("/healthz")).status).toBe(200);
    expect(received).toBeGreaterThan(0);
    leave.abort();
    expect(await drain).toBe("left");
  });
});

describe("the clock", () => {
  /** Reads events until `enough` says so; leaving is closing the stream. */
  async function listen(enough: (text: string) => boolean): Promise<string> {
    const response = await get("/events");
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += new TextDecoder().decode(chunk);
      if (enough(text)) break;
    }
    return text;
  }
  const ticks = (text: string) =>
    [...text.matchAll(/^event: tick\nid: \d+\ndata: (.*)\n\n/gm)].map(
      ([, data]) => JSON.parse(data ?? "") as { now: string; listeners: number },
    );

  test("ticks at once and then at every full second", async () => {
    const [first, second] = ticks(await listen((text) => ticks(text).length >= 2));
    expect(first).toBeDefined();
    expect(new Date(second?.now ?? "").getMilliseconds()).toBeLessThan(500);
  });

  test("forgets those who left", async () => {
    const first = (text: string) => ticks(text).length >= 1;
    await Promise.all([listen(first), listen(first), listen(first)]);
    const deadline = performance.now() + 5000;
    while (ticks(await listen(first))[0]?.listeners !== 1) {
      expect(performance.now()).toBeLessThan(deadline);
    }
  });
});

test("a slow page takes its time", async () => {
  const began = performance.now();
  expect(await (await get("/slow?seconds=100ms")).json()).toEqual({ ms: 100 });
  expect(performance.now() - began).toBeGreaterThanOrEqual(95);
});

test("/redirect leads back", async () => {
  const response = await get("/redirect");
  expect([response.status, response.headers.get("location")]).toEqual([302, "/?redirected"]);
  expect(await (await get("/?redirected")).text()).toContain("sent you here with a 302");
});

describe("cookies", () => {
  test("are set two at a time, on two lines, and count up", async () => {
    const first = (await get("/cookies/set")).headers.getSetCookie();
    expect(first).toHaveLength(2);
    const Cookie = first.map((line) => line.split(";")[0]).join("; ");
    const second = await get("/cookies/set", { headers: { Cookie } });
    expect(second.headers.getSetCookie()[1]).toStartWith("sample_count=2;");
    expect([second.status, second.headers.get("location")]).toEqual([302, "/#cookies-title"]);
  });

  test("of the gateway's own are pointed out", async () => {
    const own = await get("/", { headers: { ...HTML, Cookie: "a=1; runegate_id=x" } });
    expect(await own.text()).toContain("It should have been cut out");
    const others = await get("/", { headers: { ...HTML, Cookie: "a=1; my_runegate_id=x" } });
    expect(await others.text()).toContain("as it should be");
  });
});

describe("what goes wrong", () => {
  test.each([400, 404, 418, 500, 503])("/error?status=%d", async (status) => {
    const page = await get(`/error?status=${status}`, { headers: HTML });
    expect([page.status, page.headers.get("content-type")]).toEqual([status, "text/html; charset=utf-8"]);
    const json = await get(`/error?status=${status}`);
    expect((await json.json()) as object).toHaveProperty("error", "as_asked");
  });

  test.each([
    "/download?size=-1",
    "/download?size=lots",
    "/download?size=",
    "/download?size=1&size=2",
    "/download?rate=0",
    "/slow?seconds=-1",
    "/slow?seconds=forever",
    "/error?status=200",
  ])("%s is a 400 with a reason", async (path) => {
    const response = await get(path);
    expect(response.status).toBe(400);
    const { message, error } = (await response.json()) as { message: string; error: string };
    expect(error).toBe("invalid_parameter");
    expect(message).toMatch(/^(?:size|rate|seconds|status): /);
  });

  test.each([
    ["POST", "/", "GET, HEAD"],
    ["GET", "/upload", "POST, PUT"],
    ["DELETE", "/download", "GET, HEAD"],
  ])("%s %s is a 405", async (method, path, allow) => {
    const response = await get(path, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, allow]);
  });

  test("what is not there is a 404", async () => {
    expect((await get("/nothing")).status).toBe(404);
    expect((await get("/logout")).status).toBe(404);
  });

  test("/broken breaks off, visibly", async () => {
    const response = await get("/broken");
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
  });
});

test("stops with streams, sockets and slow pages open, and frees the port", async () => {
  const other = startSample({ hostname: "127.0.0.1", port: 0 });
  const events = await fetch(`${other.url}/events`);
  const socket = new WebSocket(`${other.url.replace("http", "ws")}/ws/echo`);
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
  const slow = fetch(`${other.url}/slow?seconds=900`).catch(() => "ended");
  await other.stop();
  await closed;
  expect(await slow).toBe("ended");
  await events.text().catch(() => "");
  const again = startSample({ hostname: "127.0.0.1", port: other.port });
  expect(again.port).toBe(other.port);
  await again.stop();
});
