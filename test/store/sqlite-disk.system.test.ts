import { describe, expect, test } from "bun:test";
import { systemClock } from "../../src/clock.ts";
import { type Kind, type Seen, StoreUnavailable } from "../../src/store/records.ts";
import { needsSmallDisk } from "./small-disk.ts";
import { temporaryPlace } from "./sqlite-place.ts";

/** Disks that are full or read-only: real ones. */

const mountSmallDisk = needsSmallDisk();
const HOUR = 3_600_000;

type Thing = { readonly text: string; readonly used?: true };
const THING: Kind<Thing> = { name: "thing" };
const ONCE: Kind<object> = { name: "once", once: true };

describe.skipIf(mountSmallDisk === undefined)("a disk", () => {
  const mounted = () => {
    if (mountSmallDisk === undefined) throw new Error("skipped above");
    return mountSmallDisk();
  };

  test("that is full lets nobody new in, keeps who is in, and works again without a restart", async () => {
    using disk = mounted();
    using place = temporaryPlace(disk.directory);
    const store = place.open(systemClock);
    const [things, once] = [store.records(THING), store.records(ONCE)];
    const end = Date.now() + HOUR;
    const add = (id: string) => things.add(id, { text: "text" }, end);
    void add("s1");
    expect(once.add("before", {}, end)).toBe(true);
    void store.ready();

    disk.fill();
    // The log has some room of its own that was given to it before.
    let last = 0;
    const addOne = () => once.add(`t${last}`, {}, end);
    const full = () => {
      for (; last < 5000; last++) addOne();
    };
    expect(full).toThrow("The disk that the database is on is full.");
    for (let i = 0; i < 3; i++) expect(addOne).toThrow(StoreUnavailable);
    expect(once.get("before")).toBeDefined();
    expect(() => store.ready()).toThrow(StoreUnavailable);
    expect(() => store.ready()).toThrow("The disk that the database is on is full.");
    expect(() => add("s2")).toThrow(StoreUnavailable);
    expect(() => things.add("m", { text: "text".repeat(2000) }, end, "grouped")).toThrow(StoreUnavailable);
    expect(() => store.limits.hit("k", { limit: 1, windowMs: HOUR })).toThrow(StoreUnavailable);
    expect(things.get("s1")).toMatchObject({ id: "s1" });
    const seen = things.get("s1") as Seen<Thing>;
    try {
      things.replace(seen, { text: "text", used: true }, "light");
    } catch (error) {
      // What was there may have room for a small change.
      expect(error).toBeInstanceOf(StoreUnavailable);
    }
    expect(things.get("s1")).toMatchObject({ id: "s1" });
    expect(things.get("s2")).toBeUndefined();
    expect(place.lines.filter((line) => line.includes("the database fails"))).toHaveLength(1);
    expect(place.lines.filter((line) => line.includes("works again"))).toHaveLength(0);

    disk.free();
    void store.ready();
    expect(addOne()).toBe(true);
    expect(addOne()).toBe(false);
    void add("s2");
    expect(things.get("s2")).toMatchObject({ id: "s2" });
    expect(await things.add("m", { text: "text".repeat(2000) }, end, "grouped")).toBe(true);
    expect(store.limits.hit("k", { limit: 1, windowMs: HOUR })).toEqual({ allowed: true });
    expect(place.lines.filter((line) => line.includes("the database fails"))).toHaveLength(1);
    expect(place.lines.filter((line) => line.includes("works again"))).toHaveLength(1);
  });

  test("that is full when the file would be created is named as the reason", () => {
    using disk = mounted();
    using place = temporaryPlace(disk.directory);
    disk.fill();
    expect(() => place.open(systemClock)).toThrow(StoreUnavailable);
    disk.free();
    void place.open(systemClock).ready();
  });

  test("that is read-only is named as the reason, with a database on it or without", () => {
    using disk = mounted();
    using place = temporaryPlace(disk.directory);
    void place.open(systemClock).close();
    using empty = mounted();
    using nothing = temporaryPlace(empty.directory);
    for (const { readOnly } of [disk, empty]) readOnly();
    expect(() => place.open(systemClock)).toThrow(StoreUnavailable);
    expect(() => nothing.open(systemClock)).toThrow("its disk is read-only");
  });
});
