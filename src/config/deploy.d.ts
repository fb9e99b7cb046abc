/** The shipped files of `deploy/`, imported `with { type: "text" }`; embedded when the executable is built. */
declare module "*.example" {
  const content: string;
  export default content;
}
declare module "*.service" {
  const content: string;
  export default content;
}
declare module "*.conf" {
  const content: string;
  export default content;
}
declare module "*.sh" {
  const content: string;
  export default content;
}
