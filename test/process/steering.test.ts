import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { type Libc, openLibc } from "../../src/process/libc.ts";
import { createPlaces, findListeningSocket, steer, steeringProgram } from "../../src/process/steering.ts";
import { freePort } from "../support/process.ts";
import { dial, readResponse, requestHead } from "../support/raw.ts";

// Many sockets are opened here, on machines that may be busy.
setDefaultTimeout(30_000);

describe("the model of the kernel's list", () => {
  test.each([
    ["opened", "+a +b +c", "a b c"],
    ["the first closed, the last takes its place", "+a +b +c -a", "c b"],
    ["the last closed, nobody moves", "+a +b +c -c", "a b"],
    ["closed and opened again", "+a +b -a +a", "b a"],
    ["a reload of two", "+a +b +c -a +d -b", "c d"],
    ["closed twice", "+a +b -a -a", "b"],
    ["one that was never there", "+a +b -c", "a b"],
    ["all gone", "+a -a", ""],
  ])("%s", (_, steps, expected) => {
    const places = createPlaces<string>();
    for (const step of steps.split(" ")) {
      if (step.startsWith("+")) places.add(step.slice(1));
      else places.remove(step.slice(1));
    }
    expect(places.list.join(" ")).toBe(expected);
  });

  test.each([
    ["everybody's", "a b c", "a", "b c", [1]],
    ["the only other one's, though it moves", "a b", "a", "b", [1]],
    ["all the others', where the last one leaves", "a b c", "c", "a b", [0, 1]],
    ["those of one that stays, and moves, are left out", "a b c d", "b", "c d", [2]],
    ["none, where nobody stays", "a b", "a", "", []],
  ])("places while one closes: %s", (_, list, leaving, staying, expected) => {
    const places = createPlaces<string>();
    places.reset(list.split(" "));
    expect(places.placesWhile(leaving, staying.split(" "))).toEqual([...expected]);
  });

  test("a lost order is known again when one is left, and not before", () => {
    const places = createPlaces<string>();
    places.reset(["a", "b", "c"]);
    places.lose();
    places.add("d");
    places.remove("a");
    places.remove("b");
    expect(places.isKnown).toBe(false);
    places.remove("c");
    expect(places.isKnown).toBe(true);
    places.lose();
    expect(places.isKnown).toBe(true);
  });
});

test("the program draws a number and returns the place of that number", () => {
  const words = (places: number[]) => steeringProgram(places).toString("hex").match(/.{16}/g);
  expect(words([7])).toEqual([
    "2000000038f0ffff", // load SKF_AD_RANDOM
    "9400000001000000", // modulo 1
    "1500000100000000", // 0?
    "0600000007000000", // return 7
    "0600000007000000",
  ]);
  expect(words([2, 0])?.slice(1)).toEqual([
    "9400000002000000",
    "1500000100000000",
    "0600000002000000",
    "1500000101000000",
    "0600000000000000",
    "0600000002000000",
  ]);
});

function libraryHere(): Libc {
  const libc = openLibc();
  if (libc === undefined) throw new Error("there is a C library where tests run");
  return libc;
}

type Listener = ReturnType<typeof Bun.serve>;

describe("in the kernel", () => {
  let port = 0;
  let listeners: Listener[] = [];
  const libc = libraryHere();

  function listen(): Listener {
    const id = String(listeners.length);
    const listener: Listener = Bun.serve({
      hostname: "127.0.0.1",
      port,
      reusePort: true,
      fetch: () => new Response(id, { headers: { "X-Id": id } }),
    });
    listeners.push(listener);
    return listener;
  }

  function steerTo(places: readonly number[] | "all"): boolean {
    const socket = findListeningSocket(libc, port);
    if (socket === undefined) throw new Error("nobody listens");
    return steer(libc, socket, places);
  }

  async function whoAnswers(times = 1): Promise<Set<Listener | undefined>> {
    const seen = await Promise.all(
      Array.from({ length: times }, async () => {
        const wire = await dial(port);
        await wire.write(requestHead("GET /"));
        const { body } = await readResponse(wire);
        wire.destroy();
        return listeners[Number(body.toString())];
      }),
    );
    return new Set(seen);
  }

  async function closeAll(): Promise<void> {
    await Promise.all(listeners.map((listener) => listener.stop(true)));
    listeners = [];
  }
  afterEach(closeAll);

  test("whoever the model puts at a place answers, whatever was opened and closed before", async () => {
    const step = fc.oneof(fc.constant("open" as const), fc.nat({ max: 100 }));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        port = freePort();
        const places = createPlaces<Listener>();
        places.add(listen());
        for (const one of steps) {
          if (one === "open") places.add(listen());
          else if (places.list.length > 1) {
            const leaving = places.list[one % places.list.length] as Listener;
            await leaving.stop(true);
            places.remove(leaving);
          }
        }
        for (const [place, listener] of places.list.entries()) {
          expect(steerTo([place])).toBe(true);
          expect(await whoAnswers(4)).toEqual(new Set([listener]));
        }
        await closeAll();
      }),
      { numRuns: 30 },
    );
  });

  test("several places share, and the others get nothing", async () => {
    port = freePort();
    const [, one, , three] = [listen(), listen(), listen(), listen()];
    steerTo([1, 3]);
    expect(await whoAnswers(60)).toEqual(new Set([one, three]));
  });

  test("detached, all share again; detaching twice does nothing", async () => {
    port = freePort();
    const all = [listen(), listen(), listen()];
    steerTo([1]);
    expect(await whoAnswers(30)).toEqual(new Set([all[1]]));
    expect(steerTo("all")).toBe(true);
    expect(await whoAnswers(100)).toEqual(new Set(all));
    expect(steerTo("all")).toBe(false);
    expect(await whoAnswers(100)).toEqual(new Set(all));
  });

  test("a place beyond the list is answered by anybody", async () => {
    port = freePort();
    const all = [listen(), listen()];
    steerTo([2]);
    expect(await whoAnswers(80)).toEqual(new Set(all));
  });

  test("no places are refused", () => {
    port = freePort();
    listen();
    expect(steerTo([])).toBe(false);
  });

  test("a socket that listens is found on its port alone", () => {
    port = freePort();
    expect(findListeningSocket(libc, port)).toBeUndefined();
    listen();
    expect(findListeningSocket(libc, port)).toBeNumber();
  });
});
