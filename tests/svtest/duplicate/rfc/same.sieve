require ["duplicate", "vnd.dovecot.testsuite"];
if duplicate { test_fail "first"; }
if duplicate { test_fail "second"; }
if duplicate :header "message-id" { test_fail "the same id"; }
