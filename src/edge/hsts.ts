import type { Awaitable } from "../store/records.ts";

type Enter<Server, Answer> = (request: Request, server: Server) => Awaitable<Answer>;

/** Adds `Strict-Transport-Security` (RFC 6797) to every answer, but to one of the application's that has it. */
export function withHsts<Server, Answer extends Response | undefined>(
  enter: Enter<Server, Answer>,
  value: string,
): Enter<Server, Answer> {
  const add = (response: Answer): Answer => {
    if (response?.headers.has(NAME) === false) response.headers.set(NAME, value);
    return response;
  };
  return (request, server) => {
    const answer = enter(request, server);
    return answer instanceof Promise ? answer.then(add) : add(answer);
  };
}

const NAME = "strict-transport-security";
