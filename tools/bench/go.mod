module github.com/pli-mail/pli/tools/bench

go 1.26.0
