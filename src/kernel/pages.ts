/**
 * Reads a list to its end, page by page.
 *
 * @param size the number of rows of a page
 * @param read returns a page of the rows after the given one
 */
export async function* eachOf<Row>(
  size: number,
  read: (after: Row | undefined) => Promise<readonly Row[]>,
): AsyncGenerator<Row, void> {
  for (let after: Row | undefined; ;) {
    const page = await read(after)
    yield* page
    if (page.length < size) return
    after = page.at(-1)
  }
}
