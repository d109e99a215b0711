require "fileinto"
if header ["제목", 2] "x" { discard; }
fileinto "거래처";
if allof (true, ) { keep; }
keep }
