package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// SQLite compiles a statement anew each time that it is given as text, which
// takes longer than most of ours run. So one connection keeps what it has
// compiled. (PostgreSQL's driver does so by itself.)
//
// database/sql has this per pool, in a way that takes a second connection to
// prepare on while a transaction holds the first; here the transaction's own is used.

// statementsMost bounds what a connection keeps. There are fewer texts than
// this; only an IN over a list makes more.
const statementsMost = 256

// statements is one connection with its compiled statements, for one goroutine at a time.
type statements struct {
	conn *sql.Conn
	kept map[string]*sql.Stmt
}

func newStatements(ctx context.Context, db *sql.DB) (*statements, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &statements{conn, make(map[string]*sql.Stmt)}, nil
}

// prepare returns the statement. Its connection is in a transaction of the
// caller's, which the statement is then part of.
func (s *statements) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if kept, ok := s.kept[query]; ok {
		return kept, nil
	}
	if len(s.kept) >= statementsMost {
		s.forget()
	}
	stmt, err := s.conn.PrepareContext(ctx, query)
	if err == nil {
		s.kept[query] = stmt
	}
	return stmt, err
}

func (s *statements) forget() {
	for query, stmt := range s.kept {
		stmt.Close()
		delete(s.kept, query)
	}
}

func (s *statements) close() error {
	s.forget()
	return s.conn.Close()
}

// readers are the connections of SQLite that only read. The one used last is
// used first: a quiet server has one, and it knows its statements.
type readers struct {
	db    *sql.DB
	slots chan struct{} // one for each that may be in use

	mu   sync.Mutex
	idle []*statements
}

func newReaders(db *sql.DB, most int) *readers {
	return &readers{db: db, slots: make(chan struct{}, most)}
}

// take waits for a free connection. The caller must give it back.
func (r *readers) take(ctx context.Context) (*statements, error) {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		s := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		return s, nil
	}
	r.mu.Unlock()
	s, err := newStatements(ctx, r.db)
	if err != nil {
		<-r.slots
	}
	return s, err
}

func (r *readers) give(s *statements) {
	r.mu.Lock()
	r.idle = append(r.idle, s)
	r.mu.Unlock()
	<-r.slots
}

// drop gives up a connection that has failed; the next take opens another.
func (r *readers) drop(s *statements) {
	s.close()
	<-r.slots
}

// close waits for each connection that is in use.
func (r *readers) close() error {
	for range cap(r.slots) {
		r.slots <- struct{}{}
	}
	var err error
	for _, s := range r.idle {
		err = errors.Join(err, s.close())
	}
	return err
}
