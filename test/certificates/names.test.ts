import { expect, test } from "bun:test";
import { orderedNames } from "../../src/certificates/names.ts";

/** Which names certificates are ordered for. */

test.each<[string, hosts: string[], wildcards: string[], ordered: string[]]>([
  ["one for each host", ["a.test", "b.a.test"], [], ["a.test", "b.a.test"]],
  ["a host that is a wildcard", ["a.test", "*.a.test"], [], ["a.test", "*.a.test"]],
  ["a wildcard is for its hosts too", ["x.a.test", "*.a.test", "y.a.test"], [], ["*.a.test"]],
  ["a wildcard that is no host", ["x.a.test", "y.a.test"], ["*.a.test"], ["*.a.test"]],
  ["the first stays the first", ["b.test", "x.a.test"], ["*.a.test"], ["b.test", "*.a.test"]],
  ["not for the name itself", ["a.test"], ["*.a.test"], ["a.test", "*.a.test"]],
  ["nor for two labels more", ["x.y.a.test"], ["*.a.test"], ["x.y.a.test", "*.a.test"]],
  ["nor for a name that ends alike", ["xa.test"], ["*.a.test"], ["xa.test", "*.a.test"]],
  ["a wildcard that has no host yet", ["a.test"], ["*.b.test"], ["a.test", "*.b.test"]],
])("%s", (_, hosts, wildcards, ordered) => {
  expect(orderedNames(hosts, wildcards)).toEqual(ordered);
});
