import { describe, expect, test } from "bun:test";
import { ValueError } from "../../src/option/value-error.ts";
import { storeLocation } from "../../src/store/location.ts";

describe("store locations", () => {
  test.each([
    ["memory", { kind: "memory" }],
    ["sqlite:/var/lib/runegate/runegate.db", { kind: "sqlite", path: "/var/lib/runegate/runegate.db" }],
    ["sqlite:state.db", { kind: "sqlite", path: "state.db" }],
    ["sqlite:/a/../b.db", { kind: "sqlite", path: "/b.db" }],
    ["valkey://db", { kind: "valkey", url: "redis://db:6379/0", shown: "valkey://db:6379/0" }],
    ["redis://db:7000/3", { kind: "valkey", url: "redis://db:7000/3", shown: "valkey://db:7000/3" }],
    ["valkeys://db:443", { kind: "valkey", url: "rediss://db:443/0", shown: "valkeys://db:443/0" }],
    ["rediss://db/", { kind: "valkey", url: "rediss://db:6379/0", shown: "valkeys://db:6379/0" }],
    [
      "valkey://ann:p%40ss@[::1]:6380/1",
      { kind: "valkey", url: "redis://ann:p%40ss@[::1]:6380/1", shown: "valkey://[::1]:6380/1" },
    ],
    ["valkey://:pass@db", { kind: "valkey", url: "redis://:pass@db:6379/0", shown: "valkey://db:6379/0" }],
  ])("%s", (text, location) => expect(storeLocation(text)).toEqual(location as never));

  const place = {
    ...{ server: "db:5432", hostname: "db", port: 5432, username: "runegate", password: "", database: "x" },
    ...{ tls: "verify-full", rootCertificate: undefined, prepare: true },
  };
  test.each([
    ["postgres://db/x", "postgres://db:5432/x", {}],
    ["postgresql://ann:p%40ss@db/x", "postgres://db:5432/x", { username: "ann", password: "p@ss" }],
    ["postgres://db:443/x", "postgres://db:443/x", { server: "db:443", port: 443 }],
    ["postgres://db/x?sslmode=require", "postgres://db:5432/x", { tls: "require" }],
    ["postgres://db/x?sslrootcert=/ca.pem", "postgres://db:5432/x", { rootCertificate: "/ca.pem" }],
    [
      "postgres://[::1]/x?prepare=false",
      "postgres://[::1]:5432/x",
      { server: "[::1]:5432", hostname: "::1", tls: "disable", prepare: false },
    ],
    [
      "postgres:///x?host=/run/postgresql",
      "postgres:///run/postgresql:5432/x",
      { server: "/run/postgresql:5432", hostname: "/run/postgresql", tls: "disable" },
    ],
  ])("%s", (text, shown, more) =>
    expect(storeLocation(text)).toEqual({ kind: "postgres", shown, place: { ...place, ...more } as never }),
  );

  test.each([
    "",
    "Memory",
    "sqlite:",
    "sqlite::memory:",
    "sqlite://host/file.db",
    "sqlite:a.db?mode=memory",
    "postgres://ann:hunter2@db",
    "postgres://ann:hunter2@db/x/y",
    "postgres://ann:hunter2@db/x?sslmode=prefer",
    "postgres://ann:hunter2@db/x?sslrootcert=ca.pem",
    "postgres://ann:hunter2@db/x?host=run",
    "postgres://ann:hunter2@db/x?prepare=no",
    "postgres://ann:hunter2@db/x?options=-c%20role",
    "postgres://ann:hunter2%@db/x",
    "mysql://ann:hunter2@db/x",
    "valkey:db",
    "valkey://",
    "valkey://ann:hunter2@/1",
    "valkey://ann:hunter2@db/one",
    "valkey://ann:hunter2@db/1?tls=true",
    "valkey://ann:hunter2@db#x",
    "valkey://ann:hunter2@db:99999",
  ])("refused, without showing a password: %s", (text) => {
    const refused = expect(() => storeLocation(text));
    refused.toThrow(ValueError);
    try {
      storeLocation(text);
    } catch (error) {
      expect(String(error)).not.toContain("hunter2");
    }
  });
});
