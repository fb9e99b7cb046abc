/** The shipped examples of `deploy/`, imported `with { type: "text" }`; embedded when the executable is built. */
declare module "*.example" {
  const content: string;
  export default content;
}
