require "duplicate";
if duplicate :header "x-id" { discard; }
