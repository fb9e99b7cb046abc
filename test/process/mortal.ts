/** One server of an application that a test kills: `bun mortal.ts PORT`. Answers with its process id, some of it late. */

const [port = "0"] = process.argv.slice(2);

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  async fetch(request) {
    const { pathname } = new URL(request.url);
    // Some requests are always under way when it dies.
    if (pathname === "/slow") await Bun.sleep(20);
    const body = pathname === "/large" ? "x".repeat(200_000) : String(process.pid);
    return new Response(body, { headers: { "Content-Type": "text/plain" } });
  },
});
console.log("ready");
