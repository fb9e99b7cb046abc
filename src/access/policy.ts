import type { Address } from "../identity/address.ts";
import { NO_GROUPS, type Principal, type Subject } from "../identity/principal.ts";
import type { AccessOptions } from "./options.ts";
import { ADMINS, createGroupsOf, type Groups, includes, NOBODY, type People } from "./people.ts";

/** Which addresses may sign in, and stay signed in (CONTRACT section 4), and what they are then. */
export type Policy = {
  /** @throws {StoreUnavailable} where the store has a say in it, and has not been heard for too long. */
  allows(address: Address, vouched?: ReadonlySet<string>): boolean;
  /** What somebody may use goes by. @throws {StoreUnavailable} as `allows` does. */
  standingOf(subject: Subject, vouched?: ReadonlySet<string>): Standing;
  /** Learns whom other processes have let in just now: before somebody is sent away for good. Never rejects. */
  catchUp(): Promise<void>;
  /** Those whom configuration names by address. */
  membersOf(group: string): ReadonlySet<Address>;
  /** All addresses that configuration names, wherever it does. */
  readonly named: ReadonlySet<Address>;
};

export type Standing = Pick<Principal, "groups" | "granted" | "unlisted">;

/** What an administrator has given somebody, besides configuration. */
export type Given = {
  /** Wins over every list. */
  readonly denied: boolean;
  /** Names of applications. */
  readonly routes: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
};

/** Asked with every request: what it says is in memory. */
export type Granted = {
  /** @throws {StoreUnavailable} where that may be out of date. */
  of(email: Address): Given | undefined;
  /** Asks the store. Never rejects. */
  look(): Promise<void>;
};

type PolicyOptions = Omit<AccessOptions, "routes" | "dynamicUsers">;
type Lists = { readonly allow: People | undefined; readonly approvers: People | undefined };

/** What the environment says of who may sign in. */
export function listedIn(
  options: Pick<PolicyOptions, "allowedEmails" | "allowedDomains" | "allowAnyEmail">,
): People {
  const { allowedEmails, allowedDomains, allowAnyEmail } = options;
  return { ...NOBODY, addresses: allowedEmails, domains: allowedDomains, anyone: allowAnyEmail };
}

/**
 * @param routes who may use one of several applications may also sign in, or decide who may, and administrators may.
 * @param granted undefined where configuration alone says who may.
 */
export function createPolicy(
  options: PolicyOptions,
  configured: Groups = new Map(),
  routes: readonly Lists[] = [],
  granted?: Granted,
): Policy {
  const groups = withAdmins(configured, options.admins);
  const groupsOf = createGroupsOf(groups);
  const listed = listedIn(options);
  // "Anyone" is anyone of those that some list names.
  const named = routes
    .flatMap(({ allow, approvers }) => [allow, approvers])
    .filter((one) => one !== undefined);
  const lists = named.map((people) => ({ ...people, anyone: false, everybody: false }));
  const anyoneSignsIn = options.signIn === "anyone";

  /** @param asked for their groups, where the lists of the environment do not have them. */
  function isListed(email: Address, asked: () => ReadonlySet<string>): boolean {
    if (includes(listed, { subject: { email }, groups: NO_GROUPS })) return true;
    const who = { subject: { email }, groups: asked() };
    // Not every group: one may be named to be kept out.
    return who.groups.has(ADMINS) || lists.some((people) => includes(people, who));
  }

  /** Of groups that were given, those that configuration still has. */
  const known = new Set(groups.keys());
  const theirs = (email: Address, vouched: ReadonlySet<string>, given: Given | undefined) =>
    groupsOf(
      { email },
      given === undefined || given.groups.size === 0
        ? vouched
        : vouched.union(given.groups.intersection(known)),
    );

  /** Of an administrator no denial counts: nobody would be left to undo it. */
  function givenTo(email: Address): Given | undefined {
    const given = granted?.of(email);
    const isVoid = given?.denied === true && groupsOf({ email }).has(ADMINS);
    return isVoid ? { ...given, denied: false } : given;
  }

  return {
    allows(address, vouched = NO_GROUPS) {
      const given = givenTo(address);
      if (given?.denied === true) return false;
      if (anyoneSignsIn || (given !== undefined && given.routes.size > 0)) return true;
      return isListed(address, () => theirs(address, vouched, given));
    },

    standingOf(subject, vouched = NO_GROUPS) {
      if (!("email" in subject)) return { groups: groupsOf(subject, vouched) };
      const { email } = subject;
      const given = givenTo(email);
      if (given === undefined && !anyoneSignsIn) return { groups: groupsOf(subject, vouched) };
      if (given?.denied === true) return { groups: NO_GROUPS, unlisted: true };
      const own = theirs(email, vouched, given);
      if (isListed(email, () => own)) return { groups: own, granted: given?.routes };
      return { groups: own, granted: given?.routes, unlisted: true };
    },
    catchUp: async () => granted?.look(),
    membersOf: (group) => groups.get(group)?.addresses ?? new Set(),
    named: new Set([listed, ...lists, ...groups.values()].flatMap(({ addresses }) => [...addresses])),
  };
}

function withAdmins(groups: Groups, admins: ReadonlySet<Address>): Groups {
  if (admins.size === 0) return groups;
  const { addresses = new Set(), ...others } = groups.get(ADMINS) ?? NOBODY;
  return new Map(groups).set(ADMINS, { ...NOBODY, ...others, addresses: admins.union(addresses) });
}
