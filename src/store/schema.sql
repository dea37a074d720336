-- zonewatch store, version 2. Times are nanoseconds since 1970 UTC.
PRAGMA auto_vacuum = INCREMENTAL;

-- Interfaces that were watched, one row each time the sensor started; evidence names them by id.
CREATE TABLE capture (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, links TEXT NOT NULL, frames INTEGER NOT NULL, bytes INTEGER NOT NULL,
    first INTEGER, last INTEGER, lost INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Policies that were in force, with their files as JSON: [[name, text], ...].
CREATE TABLE policy (sha256 TEXT PRIMARY KEY, since INTEGER NOT NULL, files TEXT NOT NULL) STRICT;

-- What was watched over time, one row as JSON: runs by which silences are told, sessions of remote access.
CREATE TABLE watch (id INTEGER PRIMARY KEY, policy TEXT NOT NULL, detail TEXT NOT NULL) STRICT;

-- What was observed of whom, with its first and last evidence.
CREATE TABLE fact (
    realm INTEGER NOT NULL, address TEXT NOT NULL, component TEXT NOT NULL, attribute TEXT NOT NULL, value TEXT NOT NULL,
    protocol TEXT NOT NULL, method TEXT NOT NULL, weight INTEGER NOT NULL, basis TEXT NOT NULL, count INTEGER NOT NULL,
    first INTEGER NOT NULL, first_capture INTEGER NOT NULL, first_frame INTEGER NOT NULL,
    last INTEGER NOT NULL, last_capture INTEGER NOT NULL, last_frame INTEGER NOT NULL,
    PRIMARY KEY (realm, address, component, attribute, value, protocol, method)
) STRICT, WITHOUT ROWID;

-- Conversations; detail holds operations, paths and judgements as JSON.
CREATE TABLE flow (
    realm INTEGER NOT NULL, client TEXT NOT NULL, server TEXT NOT NULL, transport TEXT NOT NULL, port INTEGER NOT NULL,
    protocol TEXT, connections INTEGER NOT NULL, frames INTEGER NOT NULL, bytes INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, policy TEXT, detail TEXT NOT NULL,
    PRIMARY KEY (realm, client, server, transport, port)
) STRICT;
CREATE INDEX flow_last ON flow (last);

-- Findings with their life: what was told of them and who acknowledged them is in life, as JSON; record is the finding as
-- the contract has it, as it was when it was last raised.
CREATE TABLE finding (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, band TEXT NOT NULL, score INTEGER NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, count INTEGER NOT NULL, life TEXT NOT NULL, record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What happened to frames: counters by kind and name.
CREATE TABLE coverage (kind TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;

-- What was told, in order.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, record TEXT NOT NULL
) STRICT;
CREATE INDEX event_at ON event (at);
