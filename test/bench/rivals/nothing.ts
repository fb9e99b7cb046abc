/** The least that Bun answers with: what any executable made with it weighs and takes until it answers. */
Bun.serve({ hostname: "127.0.0.1", port: Number(Bun.env.PORT), fetch: () => new Response("ok") });
