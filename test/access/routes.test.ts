import { describe, expect, test } from "bun:test";
import { createRoutes, routeFor } from "../../src/access/routes.ts";
import { routesIn } from "../support/routes.ts";

/** Which application a host and a path are. */

const TOML = [
  ["home", `path = "/"`],
  ["lab", `path = "/lab"`],
  ["deep", `path = "/lab/deep"`],
  ["grafana", `host = "grafana.example.org"`],
  ["any", `host = "*.example.org"`],
  ["any-lab", `host = "*.example.org"\npath = "/lab"`],
]
  .map(([name, keys]) => `[[routes]]\nname = "${name}"\ntarget = "http://10.0.0.2:3000"\n${keys}`)
  .join("\n");
const routes = createRoutes(routesIn(TOML, { RUNEGATE_ALLOW_ANY_EMAIL: "true" }), "https://app.example.org");

describe("an exact host goes before a wildcard, and the longest path before the others", () => {
  test.each([
    ["app.example.org", "/", "home"],
    ["app.example.org", "/lab", "lab"],
    ["app.example.org", "/lab/", "lab"],
    ["app.example.org", "/lab/deep/x", "deep"],
    ["app.example.org", "/lab/deeper", "lab"],
    ["app.example.org", "/labs", "home"],
    ["app.example.org", "/LAB/x", "home"],
    ["grafana.example.org", "/lab", "grafana"],
    ["x.example.org", "/", "any"],
    ["x.example.org", "/lab/x", "any-lab"],
    ["x.y.example.org", "/", undefined],
    ["example.org", "/", undefined],
    ["app.example.org:8080", "/", undefined],
    ["app.example.org:443", "/", "home"],
    ["APP.EXAMPLE.ORG.", "/", "home"],
    ["app.example.org.evil.example", "/", undefined],
    ["", "/", undefined],
  ] as const)("%s %s: %s", (host, path, name) => {
    const site = routes.siteOf(host);
    expect(site && routeFor(site, path)?.name).toBe(name);
  });
});

describe("what another application's server could take for its own path is nobody's", () => {
  test.each([
    "/lab/..%2fx",
    "/x/..%2flab/y",
    "/x/%2e%2e/lab",
    "/%6cab/x",
    "/lab%2fx",
    "//lab/x",
    "/lab;x/y",
    "/x%5c..%5clab",
    "/x%252f..%252flab",
  ])("%s", (path) => {
    const site = routes.siteOf("app.example.org");
    if (site === undefined) throw new Error("no site");
    expect(routeFor(site, path)?.name).toBeUndefined();
  });

  test("what is odd, and one application's whatever it means, is that one's", () => {
    const site = routes.siteOf("app.example.org");
    if (site === undefined) throw new Error("no site");
    expect(routeFor(site, "/lab/a%2fb")?.name).toBe("lab");
    expect(routeFor(site, "/x;y")?.name).toBe("home");
  });
});

describe("an origin is a site's exactly", () => {
  test.each([
    ["https://grafana.example.org", true],
    ["https://x.example.org", true],
    ["https://app.example.org", true],
    ["http://grafana.example.org", false],
    ["https://grafana.example.org/", false],
    ["https://GRAFANA.example.org", false],
    ["https://grafana.example.org:443", false],
    ["https://grafana.example.org.evil.example", false],
    ["https://x.example.org@evil.example", false],
    ["https://evil.example", false],
  ])("%s: %p", (origin, is) => {
    expect(routes.siteAt(origin)?.origin).toBe(is ? origin : undefined);
  });
});

test("without a file, every host is the one application, known by the base URL", () => {
  const [only] = routesIn(`[[routes]]\nname = "x"\ntarget = "http://10.0.0.2:3000"`, {
    RUNEGATE_ALLOW_ANY_EMAIL: "true",
  });
  if (only === undefined) throw new Error("no route");
  const first = createRoutes([{ ...only, host: undefined }], "https://app.example.org:8443", true);
  const hosts = [
    "app.example.org:8443",
    "APP.example.org.:8443",
    "app.example.org",
    "elsewhere.test",
    "127.0.0.1:8443",
    "",
  ];
  expect(hosts.map((host) => first.siteOf(host) === first.home)).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
  const single = createRoutes([{ ...only, host: undefined }], "http://localhost:7870");
  for (const host of ["localhost:7870", "127.0.0.1:7870", "whatever.example"]) {
    expect(single.siteOf(host)).toMatchObject({ origin: "http://localhost:7870" });
  }
});

test("the port of the base URL is that of every site", () => {
  const local = createRoutes(
    routesIn(`[[routes]]\nname = "x"\nhost = "x.localhost"\ntarget = "http://10.0.0.2:3000"`, {
      RUNEGATE_ALLOW_ANY_EMAIL: "true",
    }),
    "http://localhost:7870",
  );
  expect(local.siteOf("x.localhost:7870")?.origin).toBe("http://x.localhost:7870");
  expect([local.siteOf("x.localhost"), local.siteOf("x.localhost:7871")]).toEqual([undefined, undefined]);
});
