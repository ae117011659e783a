import { expect, it, onTestFinished, vi } from 'vitest'
import { LeaseRecovery } from '../../dist/routing/lease-recovery.js'
import { Lease } from '../../dist/routing/lease.js'
import { WorkScope } from '../../dist/routing/tenant-context.js'
import type { ServerConnection, SessionState } from '../../dist/server/port.js'
import { FakeConnection, to } from './fake-server.ts'

// The times at which a connection is examined, and the consequences. On a real network: silent-network.test.ts and
// with.test.ts.

/** A lease granted a second before the clock of the test begins, with spies on its release and the cut of its connection. */
function leaseOf({ isAwaited, isOver = false }: { isAwaited: boolean; isOver?: boolean }) {
  const row = to('a')
  const connection = new FakeConnection(row.database, () => undefined)
  connection.isAwaited = isAwaited
  const cut = vi.spyOn(connection, 'cut')
  const release = vi.fn<(origin: ServerConnection, destroy: boolean) => undefined>()
  const budget = { acquire: (lease: Lease) => lease.grant(connection, -1_000), release }
  const source = { budget, row, gate: () => ({ row, isValid: () => true }), loginOf: () => undefined }
  const scope = new WorkScope({ tenant: row.id }, undefined, 'unit-of-work', undefined)
  const lease = new Lease(source, [], scope, undefined)
  void lease.acquire()
  if (isOver) scope.end()
  return { connection, cut, release, lease }
}

/** Looks at leases every half second, on a clock that the test moves; connections are examined after two seconds. */
function recover(leases: readonly Lease[], found: () => SessionState = () => 'busy') {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  const examine = vi.fn<(lease: Lease) => Promise<SessionState>>(async () => found())
  const recovery = new LeaseRecovery([{ leases, examine }], 2_000)
  onTestFinished(() => {
    recovery.close()
    vi.useRealTimers()
  })
  return { examine, pass: (ms: number) => vi.advanceTimersByTimeAsync(ms) }
}

it('takes back an idle connection once its work is over, and nothing before', async () => {
  const [over, going] = [leaseOf({ isAwaited: false, isOver: true }), leaseOf({ isAwaited: false })]
  const { pass } = recover([over.lease, going.lease])
  await pass(500)
  expect(over.release).not.toHaveBeenCalled()
  over.connection.traffic++
  await pass(500)
  expect(over.release).not.toHaveBeenCalled()
  await pass(500)
  expect(over.release).toHaveBeenCalled()
  await pass(10_000)
  expect(going.release).not.toHaveBeenCalled()
})

it('examines a connection again after each silence, and leaves it alone while the server is at work', async () => {
  const { connection, cut, lease } = leaseOf({ isAwaited: true })
  const { examine, pass } = recover([lease])
  await pass(2_000)
  expect(examine).not.toHaveBeenCalled()
  await pass(500)
  expect(examine).toHaveBeenCalledTimes(1)
  await pass(2_000)
  expect(examine).toHaveBeenCalledTimes(2)
  connection.traffic++
  await pass(2_000)
  expect(examine).toHaveBeenCalledTimes(2)
  expect(cut).not.toHaveBeenCalled()
})

it('cuts a connection if the server is idle twice while an answer is due: the first time it may be on its way', async () => {
  const { cut, lease } = leaseOf({ isAwaited: true })
  const { examine, pass } = recover([lease], () => 'idle')
  await pass(2_500)
  expect(examine).toHaveBeenCalledTimes(1)
  expect(cut).not.toHaveBeenCalled()
  await pass(500)
  expect(cut).toHaveBeenCalledTimes(1)
})

it('cuts all silent connections if the server is unreachable, and no other', async () => {
  const silent = [leaseOf({ isAwaited: true }), leaseOf({ isAwaited: true })]
  const [answered, standing] = [leaseOf({ isAwaited: true }), leaseOf({ isAwaited: false })]
  const { examine, pass } = recover(
    [...silent, answered, standing].map(({ lease }) => lease),
    () => 'unreachable',
  )
  await pass(1_000)
  answered.connection.traffic++
  await pass(1_500)
  expect(examine).toHaveBeenCalledTimes(1)
  for (const { cut } of silent) expect(cut).toHaveBeenCalledTimes(1)
  for (const { cut } of [answered, standing]) expect(cut).not.toHaveBeenCalled()
})
