/** PostgreSQL's own parser. It is loaded at the first use, since a process that finds all in place needs none. */
export async function parser() {
  const { loadModule, parseSync, scanSync } = await import('libpg-query')
  await loadModule()
  return { parseSync, scanSync }
}
