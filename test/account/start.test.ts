import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { type Stage, startStage } from "../hand-off/stage.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** The page of applications. */

let upstream: Upstream;
let stage: Stage;

beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.stop());
afterEach(() => stage.stop());

const H = "https://app.test";
const SEVERAL = `
  [groups]
  staff = ["ada@example.org"]

  [[routes]]
  name = "lab"
  path = "/lab"
  target = "TARGET"
  title = "The <lab>"
  icon = "🔬"
  allow = ["group:staff", "bob@example.org"]

  [[routes]]
  name = "grafana"
  host = "grafana.app.test"
  target = "TARGET"
  allow = ["group:staff"]

  [[routes]]
  name = "outside"
  host = "other.example"
  external = true
  allow = ["anyone"]
  deny = ["bob@example.org"]

  [[routes]]
  name = "quiet"
  path = "/quiet"
  target = "TARGET"
  hidden = true

  [[routes]]
  name = "many"
  host = "*.app.test"
  target = "TARGET"
`;

function tilesOf(html: string): [href: string, title: string][] {
  return [...html.matchAll(/<li><a href="([^"]*)">.*?<strong>(.*?)<\/strong>/g)].map(
    ([, href = "", title = ""]) => [href, title],
  );
}

test("shows whoever is signed in what they may use, with a way to each, on every host", async () => {
  stage = await startStage(upstream.url, SEVERAL);
  const ada = stage.person();
  // No application is at the landing path of the host where one signs in: the page of applications is.
  const first = await ada.signIn(`${H}/_runegate/`);
  expect([first.url, first.response.status]).toEqual([`${H}/_runegate/`, 200]);
  const html = await first.response.text();
  expect(tilesOf(html)).toEqual([
    [`${H}/lab`, "The &#60;lab&#62;"],
    ["https://grafana.app.test/", "grafana"],
    ["https://other.example/", "outside"],
  ]);
  expect(html).toContain("ada@example.org");
  const there = await ada.follow("https://grafana.app.test/_runegate/");
  expect(tilesOf(await there.response.text()).length).toBe(0);
  await ada.follow("https://grafana.app.test/");
  const again = await ada.get("https://grafana.app.test/_runegate/");
  expect(tilesOf(await again.text()).length).toBe(3);
});

test("leads on where there is one application only, to it, and says so where there is none", async () => {
  stage = await startStage(upstream.url, SEVERAL);
  const [bob, eve] = [stage.person(), stage.person()];
  expect((await bob.signIn(`${H}/_runegate/`, "bob@example.org")).url).toBe(`${H}/lab`);
  await stage.restart(SEVERAL.replace('allow = ["anyone"]', 'allow = ["group:staff"]'));
  const end = await eve.signIn(`${H}/_runegate/`, "eve@example.org");
  expect(end.url).toBe(`${H}/_runegate/`);
  expect(await end.response.text()).toContain("No application is open to you");
});

test("one application, on another host than home, is where a login ends", async () => {
  stage = await startStage(
    upstream.url,
    `[[routes]]
     name = "grafana"
     host = "grafana.app.test"
     target = "TARGET"`,
  );
  expect((await stage.person().signIn(`${H}/_runegate/login`)).url).toBe("https://grafana.app.test/");
});
