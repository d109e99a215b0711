require ["vnd.dovecot.pipe", "copy"];
pipe :copy :try "archive" ["--year", "2025"];
