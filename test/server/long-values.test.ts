import { expect, it, onTestFinished } from 'vitest'
import { newClient } from '../../dist/server/postgres/client.js'
import { parseConnectionUrl } from '../../dist/server/postgres/connection-fields.js'
import { identifier } from '../support/names.ts'
import { serverUrl } from '../support/server.ts'

/** A row of one value, as the server sends it, which fails as one of more than 512 MB does: that takes a minute to read. */
function tooLongRow(): Buffer {
  const row = Buffer.alloc(12)
  row.write('D')
  row.writeUInt32BE(11, 1)
  row.writeUInt16BE(1, 5)
  row.writeUInt32BE(1, 7)
  row.toString = () => {
    throw Object.assign(new Error('Cannot create a string longer than 0x1fffffe8 characters'), {
      code: 'ERR_STRING_TOO_LONG',
    })
  }
  return row
}

it('a value that no string can hold fails its query, and the process goes on', async () => {
  const limits = { connectMs: 10_000, statementMs: 0, lockMs: 0 }
  const client = newClient(parseConnectionUrl(serverUrl()), identifier('postgres'), limits)
  client.on('error', () => undefined)
  await client.connect()
  onTestFinished(() => client.end())
  const running = client.query('select pg_sleep(5)')
  client.connection.stream.emit('data', tooLongRow())
  await expect(running).rejects.toMatchObject({ code: 'ERR_STRING_TOO_LONG' })
})
